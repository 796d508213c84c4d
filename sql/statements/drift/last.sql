-- What the last health check of the model has found, column by column.
select
    found.name,
    found.state,
    found.rows_before,
    found.rows_recent,
    found.mean_before,
    found.mean_recent,
    found.effect,
    found.luck
from ml.drift as found
where
    found.client_id = %(client_id)s
    and found.model = %(model)s
    and found.run_id = (
        select latest.run_id
        from ml.model_health as latest
        where
            latest.client_id = %(client_id)s
            and latest.model = %(model)s
        order by latest.checked_at desc
        limit 1
    )
order by
    abs(found.effect) desc,
    found.name
