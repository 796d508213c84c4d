-- The answers to all rows of a relation at once, in the order of their position. Of two probabilities per row the second is
-- that of class 1; LightGBM gives that one alone. Materialized, or the model would be asked once per row. The name of the
-- label that the model has learned tells whether its answers are relative to the simple rung's.
with
asked as materialized (
    select
        array_agg(array[{features}]::real[] order by position) as features,
        array_agg(simple order by position) as simple,
        count(*) as total
    from {rows}
),
learned as materialized (
    select
        true as relative,
        -- log_ratio__0p5_1_2: the values that the label has.
        string_to_array(replace(substr(label, length(%(relative)s::text) + 3), 'p', '.'), '_')::float8[] as steps
    from ml_pgml.model(%(model_id)s::bigint)
    where starts_with(label, %(relative)s::text)
),
answered as materialized (
    select ml_pgml.answers(
        %(model_id)s::bigint,
        (select features from asked),
        %(probabilities)s::boolean
    ) as given
),
answers as (
    select
        number,
        asked.simple[number] as simple,
        answered.given[number * (cardinality(answered.given) / asked.total)]::float8 as answer
    from asked
    cross join answered
    cross join lateral generate_series(1, asked.total) as number
),
undone as (
    select
        number,
        case
            when (select relative from learned) then {relative}
            else {undone}
        end as value
    from answers
)
select
    coalesce(
        (
            select step
            from unnest((select steps from learned)) as step
            order by abs(ln(1 + step) - ln(1 + value)), step
            limit 1
        ),
        value
    ) as value
from undone
order by number
