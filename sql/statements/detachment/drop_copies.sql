-- Copies on the replica; the platform's own tables are on the primary.
drop table if exists {tables}
