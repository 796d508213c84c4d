-- The next id of a table after rows were copied in with ids of their own.
select setval(pg_get_serial_sequence(%(table)s, 'id'), max(id)) from {table}
