-- A client has issues or pull requests; with neither, nothing can be learned or predicted.
-- severity: warn
select
    found.issues + found.pull_requests > 0 as passed,
    found.issues || ' issues, ' || found.pull_requests || ' pull requests' as observed,
    'at least 1 of either' as threshold
from (
    select
        (
            select count(*)
            from ml.source_issues as i
            where i.client_id = %(client_id)s::integer and i.active
        ) as issues,
        (
            select count(*)
            from ml.source_pull_requests as p
            where p.client_id = %(client_id)s::integer and p.active
        ) as pull_requests
) as found
