-- Before rows are read into a table: such a statement decides what it sees before it waits for its locks, so behind a
-- TRUNCATE with a reload it would see empty tables. What waits here decides afterwards.
lock table {copies} in access share mode
