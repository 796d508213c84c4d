-- The answers to all rows of a relation at once, in the order of their position. Of two probabilities per row the second is
-- that of class 1; LightGBM gives that one alone. Materialized, or the model would be asked once per row.
with
answered as materialized (
    select {answers}(
        %(model_id)s::bigint,
        (select array_agg(array[{features}]::real[] order by position) from {rows})
    ) as given
),
counted as (
    select
        given,
        cardinality(given) / nullif((select count(*) from {rows}), 0) as width
    from answered
)
select {undone} as value
from counted
cross join lateral (
    select
        number,
        counted.given[number * counted.width]::float8 as answer
    from generate_series(1, (select count(*) from {rows})) as number
) as answers
order by number
