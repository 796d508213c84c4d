-- The gateway to PostgresML. All but `train` runs as foresight_pgml, which may use pgml's tables and nothing of the clients'. So no
-- expression of a client's is evaluated in it: views and functions that a client has made would run with these rights. A client
-- reads its own rows as itself, and what arrives are numbers.

-- Trains on the relation, training rows first, and returns the model's id.
create or replace function ml_pgml.train(
    project text, task text, relation text, label text, algorithm text, hyperparams jsonb, test_size real
)
returns bigint
language plpgsql volatile parallel unsafe
-- The rows arrive in the order of the relation.
set max_parallel_workers_per_gather = 0
as $$
declare
    features text [] := array(
        select a.attname::text
        from pg_catalog.pg_attribute as a
        where a.attrelid = relation::regclass and a.attnum > 0 and not a.attisdropped and a.attname <> label
        order by a.attnum
    );
    columns text := (
        select string_agg(format('array_agg(%I::float8)', f.name), ', ' order by f.place)
        from unnest(features) with ordinality as f (name, place)
    );
    labels float8 [];
    given float8 [];
begin
    execute format('select array_agg(%I::float8), array[%s] from %s', label, columns, relation::regclass) into labels, given;
    return ml_pgml.fit(project, task, relation, label, features, labels, given, algorithm, hyperparams, test_size);
end
$$;

-- Trains on numbers: `labels` in order, `given` with one row for each of the `features`.
create or replace function ml_pgml.fit(
    project text,
    task text,
    relation text,
    label text,
    features text [],
    labels float8 [],
    given float8 [],
    algorithm text,
    hyperparams jsonb,
    test_size real
)
returns bigint
language plpgsql volatile parallel unsafe
as $$
declare
    rows_table text := format('rows_%s', ml_pgml.client());
    ordered_view text := format('ordered_%s', ml_pgml.client());
    listed text := (select string_agg(format('%I', f), ', ' order by n) from unnest(features) with ordinality as u (f, n));
    slices text := (select string_agg(format('$2[%s:%s]', n, n), ', ') from generate_subscripts(features, 1) as n);
    made bigint;
begin
    if
        num_nulls(project, task, relation, label, features, labels, given, algorithm, hyperparams, test_size) > 0
        or array_length(given, 1) is distinct from cardinality(features)
        or array_length(given, 2) is distinct from cardinality(labels)
    then
        raise exception 'relation % has no rows, or an argument is missing', relation
            using errcode = 'invalid_parameter_value';
    end if;
    if not (ml_pgml.is_own(project) and starts_with(relation, format('ml_client_%s.', ml_pgml.client()))) then
        raise exception 'project % or relation % is not of the client that asks', project, relation
            using errcode = 'insufficient_privilege';
    end if;
    -- What reaches PostgresML is what our models need: names that mean nothing else anywhere, algorithms that are known, and no
    -- hyperparameter that could name a file. Python's runtime hands them to a constructor.
    if exists (select from unnest(features || label) as name where name is null or name !~ '^[a-z_][a-z0-9_]*$') then
        raise exception 'columns are named with small letters, digits and _ only: %', features || label
            using errcode = 'invalid_name';
    end if;
    if
        task not in ('regression', 'classification')
        or algorithm not in ('linear', 'xgboost', 'lightgbm')
        or (algorithm = 'linear' and hyperparams <> '{}')
    then
        raise exception '% by % with these hyperparameters is not what Foresight trains', task, algorithm
            using errcode = 'feature_not_supported';
    end if;
    if exists (
        select
        from jsonb_each(hyperparams) as h
        where
            h.key !~ '^[a-z_0-9]+$'
            or jsonb_typeof(h.value) not in ('number', 'boolean')
            and not (algorithm = 'xgboost' and jsonb_typeof(h.value) = 'string' and h.value #>> '{}' ~ '^[a-z:_-]+$')
    ) then
        raise exception 'hyperparameters are numbers, of xgboost also words: %', hyperparams
            using errcode = 'invalid_parameter_value';
    end if;
    -- It would count below zero.
    if not (test_size > 1 and test_size < cardinality(labels)) then
        raise exception 'of % rows % cannot be left to test on', cardinality(labels), test_size
            using errcode = 'invalid_parameter_value';
    end if;
    execute format(
        'create table ml_pgml.%I (%I %s, %s float8, "#" bigint)',
        rows_table, label, case task when 'classification' then 'integer' else 'float8' end, replace(listed, ', ', ' float8, ')
    );
    execute format('insert into ml_pgml.%I select * from unnest($1, %s) with ordinality', rows_table, slices) using labels, given;
    execute format(
        'create view ml_pgml.%I as select %I, %s from ml_pgml.%I order by "#"', ordered_view, label, listed, rows_table
    );
    perform pgml.train(
        project_name => project,
        task => task,
        relation_name => 'ml_pgml.' || ordered_view,
        y_column_name => label,
        algorithm => algorithm::pgml.algorithm,
        hyperparams => hyperparams,
        test_size => test_size,
        test_sampling => 'last',
        -- Its own linear classification has no probabilities, and its own regression ends at two columns that say the same.
        runtime => case algorithm when 'linear' then 'python' end::pgml.runtime,
        automatic_deploy => false
    );
    made := currval('pgml.models_id_seq');
    -- Where the rows are from, for people; the view is gone in a moment.
    update pgml.snapshots
    set relation_name = relation
    where id = (select m.snapshot_id from pgml.models as m where m.id = made);
    execute format('drop view ml_pgml.%I', ordered_view);
    execute format('drop table ml_pgml.%I', rows_table);
    return made;
end
$$;

-- The model's values for some rows whose features come one row after the other, or their probabilities.
create or replace function ml_pgml.answers(asked bigint, features real [], probabilities boolean) returns real []
language plpgsql volatile strict parallel unsafe
as $$
declare
    width integer;
begin
    perform ml_pgml.check_model(asked);
    width := (select m.num_features from pgml.models as m where m.id = asked);
    -- A row too short is answered with an error, or with another row's value.
    if cardinality(features) % width <> 0 then
        raise exception 'model % takes % features a row, not % values', asked, width, cardinality(features)
            using errcode = 'array_subscript_error';
    end if;
    if probabilities then
        return pgml.predict_proba(asked, features);
    end if;
    return pgml.predict_batch(asked, features);
end
$$;

do $$
declare
    found regprocedure;
begin
    for found in
        select p.oid from pg_proc as p where p.pronamespace = 'ml_pgml'::regnamespace and p.proname <> 'train'
    loop
        execute format('alter function %s security definer set search_path = pg_catalog, pg_temp', found);
    end loop;
end
$$;
