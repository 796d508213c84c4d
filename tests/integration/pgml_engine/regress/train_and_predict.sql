-- A line is learned exactly, so that its numbers can stand here.
create table public.line as select i as x1, i % 7 as x2, 2 * i - 3 * (i % 7) + 5 as y from generate_series(1, 80) as i;
select * from pgml.train('line', 'regression', 'line', 'y', 'linear', test_sampling => 'last', test_size => 20);
select round(pgml.predict('line', array[10, 3])::numeric, 3) as by_name;
select round(pgml.predict(id, array[10, 3]::real[])::numeric, 3) as by_id from pgml.trained_models where name = 'line';
select round(pgml.predict('line', row(10, 3))::numeric, 3) as of_a_row;
select round(p::numeric, 3) as batch from pgml.predict_batch('line', array[[1, 1], [2, 2], [3, 3]]::real[]) as p;
select feature, round(contribution::numeric, 3) as contribution from pgml.explain('line', array[10, 3]);
select name, task, algorithm, runtime, test_sampling, test_size, deployed from pgml.trained_models;
select name, task, algorithm from pgml.deployed_models;
select relation_name, y_column_name, status, analysis, materialized from pgml.snapshots;
select num_features, algorithm, hyperparams, status, search, (metrics ->> 'r2')::numeric > 0.999 as fits from pgml.models;
select m.id = d.model_id as is_live, d.strategy from pgml.models as m inner join pgml.deployments as d on m.id = d.model_id;
select string_agg(path, ', ' order by path) as files from pgml.files;
