-- When a client's first entity came up, and the last moment of which anything is known.
select
    min(moments.first),
    max(moments.last)
from (
    select
        min(created) as first,
        max(greatest(created, work_last_completed_at)) as last
    from history.issues
    where client_id = %(client_id)s
    union all
    select
        min(pr_created_at),
        max(greatest(pr_created_at, merged_at, closed_at))
    from history.pull_requests
    where client_id = %(client_id)s
) as moments
