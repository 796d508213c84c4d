-- The client's last other run that looked at everything.
select
    run_id,
    state,
    as_of,
    source_fingerprint
from ml.nightly_runs
where
    client_id = %(client_id)s
    and run_id <> %(run_id)s
    and binding
    and jsonb_typeof(request -> 'models') is distinct from 'array'
order by started_at desc
limit 1
