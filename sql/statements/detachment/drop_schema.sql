-- Ours, with everything in it.
drop schema if exists {schema} cascade
