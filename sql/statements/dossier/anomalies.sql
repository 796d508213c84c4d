-- The unusual answers of the client's newest night that looked for them, the worst first.
select
    anomalies.kind,
    anomalies.severity,
    anomalies.sentence
from ml.anomalies as anomalies
where
    anomalies.client_id = %(client_id)s
    and anomalies.model = %(model)s
    and anomalies.run_id = (
        select runs.run_id
        from ml.nightly_runs as runs
        where
            runs.client_id = %(client_id)s
            and runs.phases ? 'watch'
        order by runs.started_at desc
        limit 1
    )
order by
    array_position(array['high', 'medium', 'low'], anomalies.severity),
    anomalies.kind,
    anomalies.entity_id
limit %(most)s
