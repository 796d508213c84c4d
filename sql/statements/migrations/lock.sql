-- Whoever upgrades a history waits for others who do; the number means nothing.
select pg_advisory_lock(7461001)
