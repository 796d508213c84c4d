-- One row of features, one answer: the last probability of a classification is that of class 1. The name of the label that
-- the model has learned tells whether its answer is relative to the simple rung's.
with
learned as materialized (
    select
        true as relative,
        -- log_ratio__0p5_1_2: the values that the label has.
        string_to_array(replace(substr(label, length(%(relative)s::text) + 3), 'p', '.'), '_')::float8[] as steps
    from ml_pgml.model(%(model_id)s::bigint)
    where starts_with(label, %(relative)s::text)
),
answers as (
    select
        %(simple)s::float8 as simple,
        given[cardinality(given)]::float8 as answer
    from (select ml_pgml.answers(%(model_id)s::bigint, %(features)s::real[], %(probabilities)s::boolean) as given) as called
),
undone as (
    select
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
