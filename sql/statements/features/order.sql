-- What pgml sees: label and features, training rows first, in the order of time. pgml tests on the last rows.
create view {view} with (security_invoker = true) as
select {label} as {name}, {features}
from {table}
where part in ('train', 'test')
order by part = 'test', moment, entity_id
