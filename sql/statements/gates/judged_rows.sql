-- The rows that none of the judged models has learned from. After a rollback only what became known since counts: a
-- person has decided against what the rows before it say.
create temporary table judged on commit drop as
select
    row_number() over (order by moment, entity_id) as position,
    *
from {table}
where
    part = 'test'
    and label is not null
    and moment > %(after)s::timestamp
    and (%(decided_until)s::timestamp is null or known_at > %(decided_until)s::timestamp)
