-- The simple rung's answers: the feature SQL has them.
create temporary table answered on commit drop as
select
    entity_id,
    simple as value
from scored
where excluded is null
