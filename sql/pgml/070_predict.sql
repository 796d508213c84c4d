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

create or replace function pgml.predict(model_id bigint, features real [])
returns real
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict
from pgml_engine.session import Session
return predict(Session.of(plpy, GD), model_id, features)
$$;

-- Many numbers travel to Python as bytes and back as one text: element by element costs more than the model does.
create or replace function pgml._predict_batch(project_name text, features bytea)
returns text
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_batch
from pgml_engine.session import Session
return predict_batch(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml._predict_batch(model_id bigint, features bytea)
returns text
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_batch
from pgml_engine.session import Session
return predict_batch(Session.of(plpy, GD), model_id, features)
$$;

create or replace function pgml._predict_proba(project_name text, features bytea)
returns text
language plpython3u
stable strict parallel unsafe
as $$
from pgml_engine.predict import predict_proba
from pgml_engine.session import Session
return predict_proba(Session.of(plpy, GD), project_name, features)
$$;

create or replace function pgml._predict_proba(model_id bigint, features bytea)
returns text
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
select unnest(pgml._predict_batch(project_name, array_send(features))::real [])
$$;

create or replace function pgml.predict_batch(model_id bigint, features real [])
returns real []
language sql
stable strict parallel unsafe
as $$
select pgml._predict_batch(model_id, array_send(features))::real []
$$;

create or replace function pgml.predict_proba(project_name text, features real [])
returns real []
language sql
stable strict parallel unsafe
as $$
select pgml._predict_proba(project_name, array_send(features))::real []
$$;

create or replace function pgml.predict_proba(model_id bigint, features real [])
returns real []
language sql
stable strict parallel unsafe
as $$
select pgml._predict_proba(model_id, array_send(features))::real []
$$;
