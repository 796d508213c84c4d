-- The newest pull requests: what is asked for tomorrow is among them.
select
    id,
    md5(pulls::text) as version
from ml.source_pull_requests as pulls
where client_id = %(client_id)s::integer
order by id desc
limit %(most)s
