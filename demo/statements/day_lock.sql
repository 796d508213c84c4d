-- Whether this session is the only one that lives the day; held until the session ends.
select pg_try_advisory_lock(hashtext('demo_day'))
