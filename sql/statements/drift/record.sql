-- What a night has found, column by column.
insert into ml.drift (
    run_id, client_id, model, name, state, rows_before, rows_recent, mean_before, mean_recent, effect, luck
)
select
    %(run_id)s,
    %(client_id)s,
    %(model)s,
    columns.name,
    columns.state,
    columns.rows_before,
    columns.rows_recent,
    columns.mean_before,
    columns.mean_recent,
    columns.effect,
    columns.luck
from unnest(
    %(name)s::text[],
    %(state)s::text[],
    %(rows_before)s::integer[],
    %(rows_recent)s::integer[],
    %(mean_before)s::float8[],
    %(mean_recent)s::float8[],
    %(effect)s::float8[],
    %(luck)s::float8[]
) as columns (name, state, rows_before, rows_recent, mean_before, mean_recent, effect, luck)
