-- The newest issues: what is asked for tomorrow is among them.
select
    id,
    md5(issues::text) as version
from ml.source_issues as issues
where client_id = %(client_id)s::integer
order by id desc
limit %(most)s
