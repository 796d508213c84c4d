-- The model's answers to the scored rows. Materialized, or the model would be asked once per row. The name of the label that
-- the model has learned tells whether its answers are relative to the simple rung's.
create temporary table answered on commit drop as
with
rows as (
    select
        row_number() over (order by entity_id) as position,
        *
    from scored
    where excluded is null
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
        (select array_agg(array[{features}]::real[] order by position) from rows),
        %(probabilities)s::boolean
    ) as given
),
counted as (
    select
        given,
        cardinality(given) / nullif((select count(*) from rows), 0) as width
    from answered
),
answers as (
    select
        rows.entity_id,
        rows.simple,
        counted.given[rows.position * counted.width]::float8 as answer
    from rows
    cross join counted
),
undone as (
    select
        entity_id,
        case
            when (select relative from learned) then {relative}
            else {undone}
        end as value
    from answers
)
select
    entity_id,
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
