create or replace function pgml.deploy(model_id bigint)
returns table (project text, strategy text, algorithm text)
language plpython3u
volatile strict parallel unsafe
as $$
from pgml_engine.deploy import deploy_model
from pgml_engine.session import Session
return deploy_model(Session.of(plpy, GD), model_id)
$$;

create or replace function pgml.deploy(project_name text, strategy pgml.strategy, algorithm pgml.algorithm default null)
returns table (project text, strategy text, algorithm text)
language plpython3u
volatile parallel unsafe
as $$
from pgml_engine.deploy import deploy_project
from pgml_engine.session import Session
return deploy_project(Session.of(plpy, GD), project_name, strategy, algorithm)
$$;
