-- Entities of the judged time that are not over yet: of each, how long it has lived at least since it was asked about.
create temporary table censored on commit drop as
select
    row_number() over (order by moment, entity_id) as position,
    extract(epoch from %(as_of)s::timestamp - moment)::float8 as at_least,
    *
from {table}
where part = 'censored' and moment > %(cut_at)s::timestamp
