-- What this session has counted is told when its transaction ends, not a second later.
select pg_stat_force_next_flush()
