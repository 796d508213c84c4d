-- The newest rows, each with its version: what is asked for tomorrow is among them.
select
    id,
    key,
    md5(source::text) as version
from {source} as source
where client_id = %(client_id)s::integer
order by id desc
limit %(most)s
