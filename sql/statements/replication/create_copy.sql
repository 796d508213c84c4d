-- Nothing but the key is `not null`: a copy that is stricter than its source stops when the platform relaxes a column.
create table {table} ({columns}, primary key ({key}))
