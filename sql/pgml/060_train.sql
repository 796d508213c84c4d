-- The first fifteen arguments are PostgresML's; the last four are ours, and a call without them means what it means there.
-- An older installation has a function without them, beside which every call would be ambiguous.
drop function if exists pgml.train(
    text, text, text, text, pgml.algorithm, jsonb, pgml.search, jsonb, jsonb, real, pgml.sampling, pgml.runtime, boolean, boolean,
    jsonb
);

create or replace function pgml.train(
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
    preprocess jsonb default '{}',
    filter text default null,
    preprocess_params jsonb default null,
    time_column text default null,
    seed integer default null
)
returns table (project text, task text, algorithm text, deployed boolean)
language plpython3u
volatile
parallel unsafe
-- One order of rows, every time: workers and a scan that joins a running one would bring another.
set max_parallel_workers_per_gather = 0
set synchronize_seqscans = off
as $$
from pgml_engine.session import Session
from pgml_engine.train import train
return train(
    Session.of(plpy, GD), project_name, task, relation_name, y_column_name, algorithm, hyperparams, search, search_params,
    search_args, test_size, test_sampling, runtime, automatic_deploy, materialize_snapshot, preprocess, filter,
    preprocess_params, time_column, seed
)
$$;

create or replace function pgml.train_joint(
    project_name text,
    task text default null,
    relation_name text default null,
    y_column_name text [] default null,
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
    preprocess jsonb default '{}',
    filter text default null,
    preprocess_params jsonb default null,
    time_column text default null,
    seed integer default null
)
returns table (project text, task text, algorithm text, deployed boolean)
language plpython3u
volatile
parallel unsafe
-- One order of rows, every time: workers and a scan that joins a running one would bring another.
set max_parallel_workers_per_gather = 0
set synchronize_seqscans = off
as $$
from pgml_engine.session import Session
from pgml_engine.train import train_joint
return train_joint(
    Session.of(plpy, GD), project_name, task, relation_name, y_column_name, algorithm, hyperparams, search, search_params,
    search_args, test_size, test_sampling, runtime, automatic_deploy, materialize_snapshot, preprocess, filter,
    preprocess_params, time_column, seed
)
$$;

comment on function pgml.train is 'Train a model on a table or view, store it, and deploy it when it is no worse than the deployed one.';
comment on function pgml.train_joint is 'As pgml.train, for several labels at once.';
