-- How much each feature moved an answer. The contributions and the row '(base value)' add up to what the model computes: the
-- value of a regression, of two classes the log-odds of the second, of more the score of the predicted one.
create or replace function pgml.explain(model_id bigint, features real [])
returns table (feature text, contribution real)
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.explain import explain
from pgml_engine.session import Session
return explain(Session.of(plpy, GD), model_id, features)
$$;

create or replace function pgml.explain(project_name text, features real [])
returns table (feature text, contribution real)
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.explain import explain
from pgml_engine.session import Session
return explain(Session.of(plpy, GD), project_name, features)
$$;

-- As of pgml.predict: `array[0.5, 1]` is of numeric, `array[1, 2]` of integer, and the call would be ambiguous.
create or replace function pgml.explain(model_id bigint, features numeric [])
returns table (feature text, contribution real)
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.explain import explain
from pgml_engine.session import Session
return explain(Session.of(plpy, GD), model_id, features)
$$;

create or replace function pgml.explain(project_name text, features numeric [])
returns table (feature text, contribution real)
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.explain import explain
from pgml_engine.session import Session
return explain(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml.explain(project_name text, features double precision [])
returns table (feature text, contribution real)
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.explain import explain
from pgml_engine.session import Session
return explain(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml.explain(project_name text, features integer [])
returns table (feature text, contribution real)
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.explain import explain
from pgml_engine.session import Session
return explain(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml.explain(project_name text, features bigint [])
returns table (feature text, contribution real)
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.explain import explain
from pgml_engine.session import Session
return explain(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml._explain_row(model_id bigint, features text, named boolean)
returns table (feature text, contribution real)
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.explain import explain_row
from pgml_engine.session import Session
return explain_row(Session.of(plpy, GD), model_id, features, named)
$$;

create or replace function pgml._explain_row(project_name text, features text, named boolean)
returns table (feature text, contribution real)
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.explain import explain_row
from pgml_engine.session import Session
return explain_row(Session.of(plpy, GD), project_name, features, named)
$$;

create or replace function pgml.explain(model_id bigint, "row" anyelement)
returns table (feature text, contribution real)
language sql
stable strict parallel unsafe
as $$
select * from pgml._explain_row($1, to_json($2)::text, pg_typeof($2) <> 'record'::regtype)
$$;

create or replace function pgml.explain(project_name text, "row" anyelement)
returns table (feature text, contribution real)
language sql
stable strict parallel unsafe
as $$
select * from pgml._explain_row($1, to_json($2)::text, pg_typeof($2) <> 'record'::regtype)
$$;

comment on function pgml.explain (bigint, real []) is
'How much each feature moved the answer; with the row (base value) they add up to it on the model''s own scale.';
