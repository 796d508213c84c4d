-- Of a copy; the platform's own indexes are not copied.
create index {name} on {table} ({columns})
