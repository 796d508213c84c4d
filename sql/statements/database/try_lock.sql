-- Whether this session now holds the client's lock; the first number keeps our locks apart from others'.
select pg_try_advisory_lock(1196381254, %(client_id)s::integer)
