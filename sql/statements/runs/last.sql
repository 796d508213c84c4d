-- The client's last run that looked at everything.
select
    run_id,
    state,
    as_of,
    source_fingerprint
from ml.nightly_runs
where
    client_id = %(client_id)s
    and not coalesce((request ->> 'dry_run')::boolean, false)
    and request ->> 'as_of' is null
    and jsonb_typeof(request -> 'models') is distinct from 'array'
order by started_at desc
limit 1
