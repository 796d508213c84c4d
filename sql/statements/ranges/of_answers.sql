-- What a rule says of answers, in their order.
select ml.ranged(asked.answer, %(rule)s::jsonb) as ranges
from unnest(%(answers)s::float8[]) with ordinality as asked (answer, place)
order by asked.place
