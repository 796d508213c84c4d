-- A stand-in for PostgresML 2.10, for servers that do not have it: its schema with its types, tables, views and signatures, owned by
-- who runs this (a superuser), nothing granted to anybody, functions that run as their caller. It learns with the libraries of our
-- engine's environment, as far as Foresight asks, and says no where PostgresML does. It is no extension: its files would be seen by
-- every database server of the machine. `set standin.without = 'catboost'` takes a Python package away.
create extension if not exists plpython3u;
create schema standin;
grant usage on schema standin to public;
create schema pgml;

create type pgml.algorithm as enum (
    'linear', 'xgboost', 'xgboost_random_forest', 'svm', 'lasso', 'elastic_net', 'ridge', 'kmeans', 'dbscan', 'knn', 'random_forest',
    'gaussian_process', 'lightgbm', 'catboost', 'pca'
);
create type pgml.task as enum ('regression', 'classification', 'clustering', 'decomposition');
create type pgml.sampling as enum ('random', 'last', 'stratified');
create type pgml.search as enum ('grid', 'random');
create type pgml.strategy as enum ('new_score', 'best_score', 'most_recent', 'rollback', 'specific');
create type pgml.status as enum ('in_progress', 'successful', 'failed');
create type pgml.runtime as enum ('python', 'rust', 'openai');

create function pgml.set_updated_at() returns trigger
language plpgsql
as $$
begin
    if new is distinct from old and new.updated_at is not distinct from old.updated_at then
        new.updated_at := clock_timestamp();
    end if;
    return new;
end
$$;

create table pgml.projects (
    id bigserial primary key,
    name text not null,
    task pgml.task not null,
    created_at timestamp not null default clock_timestamp(),
    updated_at timestamp not null default clock_timestamp()
);
create unique index projects_name_idx on pgml.projects (name);
create table pgml.snapshots (
    id bigserial primary key,
    relation_name text not null,
    y_column_name text [] not null,
    test_size real not null,
    test_sampling pgml.sampling not null,
    status text not null,
    columns jsonb,
    analysis jsonb,
    created_at timestamp not null default clock_timestamp(),
    updated_at timestamp not null default clock_timestamp(),
    materialized boolean default false
);
create table pgml.models (
    id bigserial primary key,
    project_id bigint not null constraint project_id_fk references pgml.projects (id) on delete cascade,
    snapshot_id bigint constraint snapshot_id_fk references pgml.snapshots (id) on delete set null,
    num_features integer not null,
    algorithm text not null,
    runtime pgml.runtime default 'python',
    hyperparams jsonb not null,
    status text not null,
    metrics jsonb,
    search text,
    search_params jsonb not null,
    search_args jsonb not null,
    created_at timestamp not null default clock_timestamp(),
    updated_at timestamp not null default clock_timestamp()
);
create table pgml.deployments (
    id bigserial primary key,
    project_id bigint not null constraint project_id_fk references pgml.projects (id) on delete cascade,
    model_id bigint not null constraint model_id_fk references pgml.models (id) on delete cascade,
    strategy pgml.strategy not null,
    created_at timestamp not null default clock_timestamp()
);
create table pgml.files (
    id bigserial primary key,
    model_id bigint not null constraint model_id_fk references pgml.models (id) on delete cascade,
    path text not null,
    part integer not null,
    created_at timestamp not null default clock_timestamp(),
    updated_at timestamp not null default clock_timestamp(),
    data bytea not null
);
create unique index files_model_id_path_part_idx on pgml.files (model_id, path, part);
create trigger projects_auto_updated_at before update on pgml.projects for each row execute function pgml.set_updated_at();
create trigger snapshots_auto_updated_at before update on pgml.snapshots for each row execute function pgml.set_updated_at();
create trigger models_auto_updated_at before update on pgml.models for each row execute function pgml.set_updated_at();
create trigger files_auto_updated_at before update on pgml.files for each row execute function pgml.set_updated_at();

create view pgml.overview as
select p.name, d.created_at as deployed_at, p.task, m.algorithm, m.runtime, s.relation_name, s.y_column_name, s.test_sampling, s.test_size
from pgml.projects as p
join pgml.models as m on p.id = m.project_id
join pgml.deployments as d on d.project_id = p.id and d.model_id = m.id
join pgml.snapshots as s on s.id = m.snapshot_id
order by d.created_at desc;
create view pgml.trained_models as
select m.id, p.name, p.task, m.algorithm, m.runtime, m.created_at, s.test_sampling, s.test_size, d.model_id is not null as deployed
from pgml.projects as p
join pgml.models as m on p.id = m.project_id
join pgml.snapshots as s on s.id = m.snapshot_id
left join (
    select distinct on (project_id) project_id, model_id from pgml.deployments order by project_id, created_at desc
) as d on d.model_id = m.id
order by m.created_at desc;
create view pgml.deployed_models as
select m.id, p.name, p.task, m.algorithm, m.runtime, d.created_at as deployed_at
from pgml.projects as p
join (
    select distinct on (project_id) project_id, model_id, created_at from pgml.deployments order by project_id, created_at desc
) as d on d.project_id = p.id
join pgml.models as m on m.id = d.model_id
order by p.name;

create function pgml.version() returns text
language sql immutable strict parallel safe
as $$ select '2.10.0 (2d2352d4f1)' $$;

create function pgml.python_package_version(name text) returns text
language plpgsql immutable strict parallel safe
as $$
begin
    if name = any(string_to_array(current_setting('standin.without', true), ' ')) then
        raise exception 'ModuleNotFoundError: No module named ''%''', name;
    end if;
    return '1.0';
end
$$;

-- What PostgresML does in Rust and Python.
create function standin.fit(
    task text, algorithm text, asked text, given float8 [], labels float8 [], learned integer
)
returns table (data bytea, metrics text)
language plpython3u
as $$
import json
import pickle
import time

import numpy as np
from sklearn import linear_model, metrics as measured

regression = task == "regression"
hyperparams = json.loads(asked)
x, y = np.array(given, dtype=np.float32).reshape(len(labels), -1), np.array(labels, dtype=np.float32)
if not np.isfinite(x).all():
    plpy.error("index out of bounds: the len is 20 but the index is 20")
if algorithm == "linear":
    model = linear_model.LinearRegression() if regression else linear_model.LogisticRegression(**hyperparams)
elif algorithm == "xgboost":
    import xgboost
    known = set(
        "eta learning_rate gamma min_split_loss max_depth min_child_weight max_delta_step subsample colsample_bytree colsample_bylevel"
        " lambda reg_lambda alpha reg_alpha tree_method scale_pos_weight grow_policy max_leaves max_bin booster n_estimators"
        " boost_rounds eval_metric objective nthread random_state".split()
    )
    for name, value in hyperparams.items():
        if name not in known:
            plpy.error(f'Unknown hyperparameter "{name}": {value}')
    objective = hyperparams.pop("objective", "reg:linear" if regression else "multi:softprob")
    if objective not in ("reg:linear", "reg:logistic", "count:poisson", "reg:gamma", "multi:softprob"):
        plpy.error(f'Unknown objective: "{objective}"')
    kind = xgboost.XGBRegressor if regression else xgboost.XGBClassifier
    objective = {"reg:linear": "reg:squarederror"}.get(objective, objective)
    classes = {} if regression else {"num_class": len(set(y))}
    stated = {"n_estimators": 10, "base_score": 0.5, "n_jobs": 1, "objective": objective} | classes


    class Listening(xgboost.callback.TrainingCallback):
        """PostgresML hears that its backend is to end, in the middle of a fit."""

        def after_iteration(self, model, epoch, evals_log):
            plpy.execute("select 1")
            return False

    model = kind(**stated | hyperparams | {"callbacks": [Listening()]})
else:
    import lightgbm
    kind = lightgbm.LGBMRegressor if regression else lightgbm.LGBMClassifier
    model = kind(**{"n_jobs": 1, "verbose": -1} | hyperparams)
began = time.perf_counter()
model.fit(x[:learned], y[:learned])
fitted = time.perf_counter()
test, said = y[learned:], np.asarray(model.predict(x[learned:]), dtype=float)
if said.ndim == 2:
    said = said.argmax(axis=1).astype(float)
if regression:
    found = {
        "r2": measured.r2_score(test, said),
        "mean_absolute_error": measured.mean_absolute_error(test, said),
        "mean_squared_error": measured.mean_squared_error(test, said),
    }
else:
    if len(set(test) | set(said)) != len(set(y[:learned])):
        plpy.error("assertion failed: the test rows and their predictions have other classes than the training rows")
    found = {"f1": measured.f1_score(test, said, average="binary" if len(set(y)) == 2 else "macro")}
    found |= {"accuracy": measured.accuracy_score(test, said), "roc_auc": measured.roc_auc_score(test, said)}
found |= {"fit_time": fitted - began, "score_time": time.perf_counter() - fitted}
if algorithm == "xgboost":
    model.set_params(callbacks=None)
return [(pickle.dumps(model), json.dumps({name: float(value) for name, value in found.items()}))]
$$;

create function standin.answer(data bytea, algorithm text, features real [], width integer, probabilities boolean) returns real []
language plpython3u
as $$
import pickle

import numpy as np

model = pickle.loads(data)
x = np.array(features, dtype=np.float32).reshape(-1, width)
if not probabilities:
    said = np.asarray(model.predict(x), dtype=float)
    return (said.argmax(axis=1) if said.ndim == 2 else said).tolist()
if not hasattr(model, "predict_proba"):
    plpy.error("predict_proba is not supported by regression models")
found = model.predict_proba(x)
return (found[:, 1] if algorithm == "lightgbm" else found.ravel()).tolist()
$$;

create function pgml.train(
    project_name text,
    task text default null,
    relation_name text default null,
    y_column_name text default null,
    algorithm pgml.algorithm default 'linear',
    hyperparams jsonb default '{}',
    search pgml.search default null,
    search_params jsonb default '{}',
    search_args jsonb default '{}',
    test_size real default 0.25,
    test_sampling pgml.sampling default 'stratified',
    runtime pgml.runtime default null,
    automatic_deploy boolean default true,
    materialize_snapshot boolean default false,
    preprocess jsonb default '{}'
)
-- PL/pgSQL lets no column have an argument's name, which PostgresML's do.
returns table (project text, its_task text, its_algorithm text, deployed boolean)
language plpgsql volatile
as $$
#variable_conflict use_column
declare
    place text [] := string_to_array(relation_name, '.');
    names text [];
    given float8 [];
    labels float8 [];
    made_project bigint;
    made_snapshot bigint;
    made_model bigint;
    ran pgml.runtime := coalesce(train.runtime, case when train.algorithm in ('xgboost', 'lightgbm')
        or (train.algorithm = 'linear' and train.task = 'regression') then 'rust' else 'python' end::pgml.runtime);
    fitted record;
begin
    if cardinality(place) = 1 then
        place := array['public', relation_name];
    end if;
    if not exists (select from information_schema.tables as t where t.table_schema = place[1] and t.table_name = place[2]) then
        raise exception 'Relation "%" doesn''t exist.', relation_name;
    end if;
    select array_agg(c.column_name::text order by c.ordinal_position) into names
    from information_schema.columns as c
    where c.table_schema = place[1] and c.table_name = place[2] and c.column_name <> train.y_column_name;
    execute format(
        'select array_agg(%I), array_agg(array[%s]::float8[]) from %I.%I',
        train.y_column_name, (select string_agg(format('%I', n), ', ' order by o) from unnest(names) with ordinality as u (n, o)),
        place[1], place[2]
    ) into labels, given;
    if array_position(labels, null) is not null then
        raise exception 'NULL training data in the label: filter it by a view with WHERE ... IS NOT NULL';
    end if;
    if ran = 'python' then
        perform pgml.python_package_version(name) from unnest(array['sklearn', 'xgboost', 'lightgbm', 'catboost']) as name;
    end if;
    select p.id into made_project from pgml.projects as p where p.name = train.project_name;
    if made_project is null then
        insert into pgml.projects (name, task) values (train.project_name, train.task::pgml.task) returning id into made_project;
    end if;
    insert into pgml.snapshots (relation_name, y_column_name, test_size, test_sampling, status, columns, analysis)
    values (
        train.relation_name, array[train.y_column_name], train.test_size, train.test_sampling, 'in_progress',
        (
            select jsonb_agg(jsonb_build_object('name', names[place], 'statistics', jsonb_build_object('min', least, 'max', most)))
            from (
                select 1 + (i - 1) % cardinality(names) as place, min(v) as least, max(v) as most
                from unnest(given) with ordinality as g (v, i)
                group by 1
            ) as counted
        ),
        jsonb_build_object('samples', cardinality(labels))
    )
    returning id into made_snapshot;
    raise info 'Column "%": Statistics { max: % }', train.y_column_name, (select max(l) from unnest(labels) as l);
    select * into fitted
    from standin.fit(
        train.task, train.algorithm::text, train.hyperparams::text, given, labels, cardinality(labels) - train.test_size::integer
    );
    insert into pgml.models (
        project_id, snapshot_id, num_features, algorithm, runtime, hyperparams, status, metrics, search_params, search_args
    )
    values (
        made_project, made_snapshot, cardinality(names), train.algorithm::text, ran, train.hyperparams, 'in_progress', null, '{}', '{}'
    )
    returning id into made_model;
    insert into pgml.files (model_id, path, part, data) values (made_model, 'estimator.rmp', 0, fitted.data);
    update pgml.models set status = 'successful', metrics = fitted.metrics::jsonb where id = made_model;
    if automatic_deploy then
        insert into pgml.deployments (project_id, model_id, strategy) values (made_project, made_model, 'new_score');
    end if;
    return query select train.project_name, train.task, train.algorithm::text, automatic_deploy;
end
$$;

create function standin.asked(asked_id bigint, features real [], probabilities boolean) returns real []
language plpgsql stable
as $$
declare
    model record;
begin
    select m.algorithm, m.num_features, f.data into model
    from pgml.models as m join pgml.files as f on f.model_id = m.id
    where m.id = asked_id;
    if not found then
        raise exception 'Model does not exist: %', asked_id;
    end if;
    if cardinality(features) < model.num_features then
        raise exception 'attempt to divide by zero';
    end if;
    return standin.answer(model.data, model.algorithm, features, model.num_features, probabilities);
end
$$;

create function pgml.predict_batch(model_id bigint, features real []) returns real []
language sql immutable strict parallel safe
as $$ select standin.asked($1, $2, false) $$;
create function pgml.predict_proba(model_id bigint, features real []) returns real []
language sql immutable strict parallel safe
as $$ select standin.asked($1, $2, true) $$;
create function pgml.predict(model_id bigint, features real []) returns real
language sql immutable strict parallel safe
as $$ select (standin.asked($1, $2, false))[1] $$;
create function pgml.predict(project_name text, features real []) returns real
language sql immutable strict parallel safe
as $$ select (standin.asked((select id from pgml.deployed_models where name = $1), $2, false))[1] $$;

create function pgml.deploy(model_id bigint) returns table (project text, strategy text, algorithm text)
language plpgsql volatile
as $$
begin
    if not exists (select from pgml.models as m where m.id = deploy.model_id) then
        raise exception 'Model does not exist: %', deploy.model_id;
    end if;
    insert into pgml.deployments (project_id, model_id, strategy)
    select m.project_id, m.id, 'specific' from pgml.models as m where m.id = deploy.model_id;
    return query
    select p.name, 'specific', m.algorithm
    from pgml.models as m join pgml.projects as p on p.id = m.project_id
    where m.id = deploy.model_id;
end
$$;
