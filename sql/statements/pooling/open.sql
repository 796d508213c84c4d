-- Which process of the server a new connection speaks to. Notices of a PostgresML server print values of rows; nothing in
-- a log may.
select pg_backend_pid(), set_config('client_min_messages', 'warning', false)
