-- What every feature adds to the answers to some rows, whose features come one row after the other. Ours only: PostgresML
-- has no such function.
select
    place,
    explained.feature,
    explained.contribution::float8 as contribution
from generate_series(1, cardinality(%(features)s::real[]) / %(width)s::integer) as place
cross join lateral pgml.explain(
    %(model_id)s::bigint, (%(features)s::real[])[(place - 1) * %(width)s::integer + 1:place * %(width)s::integer]
) as explained
where explained.feature <> '(base value)'
