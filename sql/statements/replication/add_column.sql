-- A column that the platform has got since the copy was made; nullable, as all but the key are.
alter table {table} add column {column} {type}
