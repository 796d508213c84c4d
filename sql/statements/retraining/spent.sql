-- Processor seconds of trainings on a replica within the last 20 hours, of these triggers.
select coalesce(sum(cpu_seconds), 0)::float8 as seconds
from ml.training_runs
where
    replica_conn_id = %(replica_conn_id)s
    and trigger = any(%(triggers)s::text[])
    and started_at > clock_timestamp() - interval '20 hours'
