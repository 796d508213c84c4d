-- What this run has found before, and what is long ago.
delete from ml.anomalies
where
    client_id = %(client_id)s
    and model = %(model)s
    and (run_id = %(run_id)s or noted_at < clock_timestamp() - interval '400 days')
