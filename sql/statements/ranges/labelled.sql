-- The last labels of a run's training table and what the simple rung said, the newest first. Every one of them is a fair
-- test of the simple rung, which knows only what was known before a row's moment.
select
    label,
    simple as answer,
    known_at,
    moment
from {table}
where part in ('train', 'between', 'test')
order by
    known_at desc,
    moment desc,
    entity_id
limit %(most)s
