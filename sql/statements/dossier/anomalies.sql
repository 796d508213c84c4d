-- The anomalies that the last health check of the model has found, the worst first.
select
    anomalies.kind,
    anomalies.severity,
    anomalies.sentence
from ml.anomalies as anomalies
where
    anomalies.client_id = %(client_id)s
    and anomalies.model = %(model)s
    and anomalies.run_id = (
        select latest.run_id
        from ml.model_health as latest
        where
            latest.client_id = %(client_id)s
            and latest.model = %(model)s
        order by latest.checked_at desc
        limit 1
    )
order by
    array_position(array['high', 'medium', 'low'], anomalies.severity),
    anomalies.kind,
    anomalies.entity_id
limit %(most)s
