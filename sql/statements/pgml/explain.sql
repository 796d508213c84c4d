-- What every feature adds to one answer. Ours only: PostgresML has no such function.
select
    feature,
    contribution::float8 as contribution
from pgml.explain(%(model_id)s::bigint, %(features)s::real[])
where feature <> '(base value)'
