-- What the last night that has looked has found, column by column.
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
        select runs.run_id
        from ml.nightly_runs as runs
        where
            runs.client_id = %(client_id)s
            and runs.phases ? 'watch'
        order by runs.started_at desc
        limit 1
    )
order by
    abs(found.effect) desc,
    found.name
