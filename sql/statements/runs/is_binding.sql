-- Whether this run may change what serves: it is no dry run and no run of the past, and no later run has come through. The
-- order is that in which runs began: a clock that has gone back makes no run late.
select
    own.binding
    and not exists (
        select
        from ml.nightly_runs as later
        where
            later.client_id = own.client_id
            and later.started_at > own.started_at
            and later.binding
            and later.state = 'success'
    ) as binding
from ml.nightly_runs as own
where own.run_id = %(run_id)s
