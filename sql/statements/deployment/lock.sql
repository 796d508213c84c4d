-- Whoever sets up this database waits for others who do; the number means nothing.
select pg_advisory_lock(7461000)
