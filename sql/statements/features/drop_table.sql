-- What an earlier try of the same run has left.
drop table if exists {table} cascade
