-- What pgml sees of a fold: what was known at its cut, then the rows that it is judged on.
create view {view} with (security_invoker = true) as
select {label} as {name}, {features}
from {table}
where
    part = 'train'
    and (known_at <= %(after)s::timestamp or (moment > %(after)s::timestamp and moment <= %(until)s::timestamp))
order by moment > %(after)s::timestamp, moment, entity_id
