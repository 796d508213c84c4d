-- Rows of one frame.
copy {table} ({columns}) from stdin
