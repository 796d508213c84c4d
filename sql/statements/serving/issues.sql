-- The issues of these keys. Of those that share a key the one with the lowest id is meant.
select distinct on (key)
    id,
    key,
    summary,
    created,
    issuetype,
    story_points,
    md5(issues::text) as version
from ml.source_issues as issues
where
    client_id = %(client_id)s::integer
    and key = any(%(keys)s::text[])
order by
    key,
    id
