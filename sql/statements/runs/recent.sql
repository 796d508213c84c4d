-- The newest runs that had something to do.
select run_id
from ml.nightly_runs
where
    client_id = %(client_id)s
    and state <> 'unchanged'
order by started_at desc
limit %(count)s
