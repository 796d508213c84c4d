-- What each role may see of a project that another has made.
create table public.numbers as select i as x, 2 * i as y from generate_series(1, 40) as i;
create role maker in role pgml_trainer;
create role asker in role pgml_predictor;
create role passer_by;
grant select on public.numbers to maker;
set role maker;
select * from pgml.train('made', 'regression', 'numbers', 'y', 'linear');
set role asker;
select pgml.predict('made', array[3]::real[]);
select pgml.train('mine', 'regression', 'numbers', 'y');
set role maker;
select pgml.share_project('made', 'asker');
set role asker;
select round(pgml.predict('made', array[3]::real[])::numeric, 3) as shared;
select name from pgml.deployed_models;
select pgml.drop_project('made', true);
set role passer_by;
select pgml.predict('made', array[3]::real[]);
select * from pgml.models;
set role maker;
select * from pgml.drop_project('made', true);
reset role;
select (select count(*) from pgml.projects), (select count(*) from pgml.models), (select count(*) from pgml.snapshots),
    (select count(*) from pgml.files), (select count(*) from pgml.project_readers);
drop owned by maker, asker, passer_by;
drop role maker, asker, passer_by;
