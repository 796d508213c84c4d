-- The model's answers to the scored rows. Materialized, or the model would be asked once per row.
create temporary table answered on commit drop as
with
rows as (
    select
        row_number() over (order by entity_id) as position,
        *
    from scored
    where excluded is null
),
answered as materialized (
    select {answers}(
        %(model_id)s::bigint,
        (select array_agg(array[{features}]::real[] order by position) from rows)
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
        counted.given[rows.position * counted.width]::float8 as answer
    from rows
    cross join counted
)
select
    entity_id,
    {undone} as value
from answers
