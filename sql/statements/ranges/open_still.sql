-- What is not over yet, of moments from one on: how long it has lasted at least, and what the simple rung said.
select
    extract(epoch from %(as_of)s::timestamp - moment)::float8 as label,
    simple as answer,
    moment
from {table}
where
    part = 'censored'
    and moment >= %(since)s::timestamp
    and moment < %(as_of)s::timestamp
order by
    moment,
    entity_id
