-- As of when a model was trained last, and as of when a training was asked for last.
select
    (
        select max(runs.as_of)
        from ml.training_runs as training
        join ml.nightly_runs as runs on runs.run_id = training.run_id
        where
            training.client_id = %(client_id)s
            and training.model = %(model)s
            and training.status = 'trained'
            and runs.as_of <= %(as_of)s
            and runs.binding
    ) as trained,
    (
        select max(requests.as_of)
        from ml.retrain_requests as requests
        where
            requests.client_id = %(client_id)s
            and requests.model = %(model)s
            and requests.as_of <= %(as_of)s
            and requests.run_id <> %(run_id)s
    ) as asked
