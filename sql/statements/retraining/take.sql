-- A run is started for these.
update ml.retrain_requests
set taken_at = clock_timestamp()
where request_id = any(%(taken)s::uuid[])
