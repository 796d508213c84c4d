-- What this run has found before, and what is older than the pages look back.
delete from ml.drift
where
    client_id = %(client_id)s
    and model = %(model)s
    and (run_id = %(run_id)s or checked_at < clock_timestamp() - interval '400 days')
