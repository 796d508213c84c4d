select pg_advisory_lock(7461000)
