-- Ours: PostgresML leaves it to `delete`, which leaves snapshots and their tables behind. The deployed model goes only when
-- that is said; then the one that was deployed before it answers, if there is any.
create or replace function pgml.drop_model(model_id bigint, force boolean default false)
returns table (project text, model bigint, deployed boolean)
language plpython3u
volatile parallel unsafe
as $$
from pgml_engine.drop import drop_model
from pgml_engine.session import Session
return drop_model(Session.of(plpy, GD), model_id, force)
$$;

create or replace function pgml.drop_project(project_name text, force boolean default false)
returns table (project text, models bigint)
language plpython3u
volatile parallel unsafe
as $$
from pgml_engine.drop import drop_project
from pgml_engine.session import Session
return drop_project(Session.of(plpy, GD), project_name, force)
$$;
