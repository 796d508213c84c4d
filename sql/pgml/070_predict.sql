-- STABLE where PostgresML says IMMUTABLE: a constant call would be folded into a cached plan and answer with the old model
-- after a deployment. PARALLEL UNSAFE: PL/Python asks the database within subtransactions, which a worker cannot open.

create or replace function pgml.predict(project_name text, features real [])
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict
from pgml_engine.session import Session
return predict(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml.predict(project_name text, features double precision [])
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict
from pgml_engine.session import Session
return predict(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml.predict(project_name text, features smallint [])
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict
from pgml_engine.session import Session
return predict(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml.predict(project_name text, features integer [])
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict
from pgml_engine.session import Session
return predict(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml.predict(project_name text, features bigint [])
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict
from pgml_engine.session import Session
return predict(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml.predict(project_name text, features boolean [])
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict
from pgml_engine.session import Session
return predict(Session.of(plpy, GD), project_name, features)
$$;

-- PostgresML has none for numeric, what `array[0.5, 1]` is: there the call is ambiguous.
create or replace function pgml.predict(project_name text, features numeric [])
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict
from pgml_engine.session import Session
return predict(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml.predict(model_id bigint, features real [])
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict
from pgml_engine.session import Session
return predict(Session.of(plpy, GD), model_id, features)
$$;

create or replace function pgml.predict(model_id bigint, features numeric [])
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict
from pgml_engine.session import Session
return predict(Session.of(plpy, GD), model_id, features)
$$;

-- PL/Python takes no anyelement: the row travels as JSON, in which attributes keep their order. The attributes of an anonymous
-- record have no names of their own.
create or replace function pgml._predict_row(project_name text, features text, named boolean)
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_row
from pgml_engine.session import Session
return predict_row(Session.of(plpy, GD), project_name, features, named)
$$;

create or replace function pgml._predict_label(project_name text, features text, named boolean)
returns text
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_label
from pgml_engine.session import Session
return predict_label(Session.of(plpy, GD), project_name, features, named)
$$;

create or replace function pgml._predict_row(model_id bigint, features text, named boolean)
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_row
from pgml_engine.session import Session
return predict_row(Session.of(plpy, GD), model_id, features, named)
$$;

create or replace function pgml._predict_label(model_id bigint, features text, named boolean)
returns text
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_label
from pgml_engine.session import Session
return predict_label(Session.of(plpy, GD), model_id, features, named)
$$;

create or replace function pgml.predict(project_name text, "row" anyelement)
returns real
language sql
stable strict parallel unsafe
as $$
select pgml._predict_row($1, to_json($2)::text, pg_typeof($2) <> 'record'::regtype)
$$;

create or replace function pgml.predict(model_id bigint, "row" anyelement)
returns real
language sql
stable strict parallel unsafe
as $$
select pgml._predict_row($1, to_json($2)::text, pg_typeof($2) <> 'record'::regtype)
$$;

-- Ours: the name of the class, for which pgml.predict has a number. Takes an array of numbers or a row.
create or replace function pgml.predict_label(project_name text, features anyelement)
returns text
language sql
stable strict parallel unsafe
as $$
select pgml._predict_label($1, to_json($2)::text, pg_typeof($2) <> 'record'::regtype)
$$;

create or replace function pgml.predict_label(model_id bigint, features anyelement)
returns text
language sql
stable strict parallel unsafe
as $$
select pgml._predict_label($1, to_json($2)::text, pg_typeof($2) <> 'record'::regtype)
$$;

create or replace function pgml.predict_joint(project_name text, features real [])
returns real []
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_joint
from pgml_engine.session import Session
return predict_joint(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml.predict_joint(model_id bigint, features real [])
returns real []
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_joint
from pgml_engine.session import Session
return predict_joint(Session.of(plpy, GD), model_id, features)
$$;

-- Many numbers travel as bytes, see 065_bytes.sql. An older installation has functions that answered with text.
drop function if exists pgml._predict_batch(text, bytea), pgml._predict_batch(bigint, bytea);
drop function if exists pgml._predict_proba(text, bytea), pgml._predict_proba(bigint, bytea);

create or replace function pgml._predict_batch(project_name text, features bytea)
returns bytea
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_batch
from pgml_engine.session import Session
return predict_batch(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml._predict_batch(model_id bigint, features bytea)
returns bytea
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_batch
from pgml_engine.session import Session
return predict_batch(Session.of(plpy, GD), model_id, features)
$$;

create or replace function pgml._predict_proba(project_name text, features bytea)
returns bytea
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_proba
from pgml_engine.session import Session
return predict_proba(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml._predict_proba(model_id bigint, features bytea)
returns bytea
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_proba
from pgml_engine.session import Session
return predict_proba(Session.of(plpy, GD), model_id, features)
$$;

create or replace function pgml.predict_batch(project_name text, features real [])
returns setof real
language sql
stable strict parallel unsafe
as $$
select unnest(pgml._reals(pgml._predict_batch(project_name, pgml._bytes(features))))
$$;

create or replace function pgml.predict_batch(model_id bigint, features real [])
returns real []
language sql
stable strict parallel unsafe
as $$
select pgml._reals(pgml._predict_batch(model_id, pgml._bytes(features)))
$$;

create or replace function pgml.predict_proba(project_name text, features real [])
returns real []
language sql
stable strict parallel unsafe
as $$
select pgml._reals(pgml._predict_proba(project_name, pgml._bytes(features)))
$$;

create or replace function pgml.predict_proba(model_id bigint, features real [])
returns real []
language sql
stable strict parallel unsafe
as $$
select pgml._reals(pgml._predict_proba(model_id, pgml._bytes(features)))
$$;
