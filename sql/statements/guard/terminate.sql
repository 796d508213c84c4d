-- End a backend of the same login.
select pg_terminate_backend(%(pid)s::integer) as signalled
