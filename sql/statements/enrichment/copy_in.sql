-- ... and into the primary, block by block.
copy incoming from stdin (format binary)
