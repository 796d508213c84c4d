-- The pull requests of these numbers in one repository.
select distinct on (number)
    id,
    key,
    number,
    repository,
    title,
    created,
    md5(pulls::text) as version
from ml.source_pull_requests as pulls
where
    client_id = %(client_id)s::integer
    and repository = %(repository)s::text
    and number = any(%(numbers)s::integer[])
order by
    number,
    id
