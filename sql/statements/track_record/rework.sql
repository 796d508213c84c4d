-- Whether pull requests that were merged after they had been asked about needed rework.
select
    asked.position,
    (
        coalesce(p.review_cycles > %(max_review_cycles)s, false)
        or coalesce(p.rework_commit_count > %(max_rework_commits)s, false)
    )::integer::float8 as label,
    p.merged_at as known_at
from asked
join ml.source_pull_requests as p on p.client_id = %(client_id)s and p.id = asked.entity_id
where
    p.active
    and (asked.entity_key is null or asked.entity_key = p.key)
    and p.merged_at >= asked.as_of
    and (p.review_cycles is not null or p.rework_commit_count is not null)
