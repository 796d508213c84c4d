-- What a row filter may say, and how the rest is refused.
create table public.parts (client_id int, size int, noted timestamp, kind text, y int);
insert into public.parts
select i % 2 + 1, i, timestamp '2024-01-01' + i * interval '1 day', case when i % 3 = 0 then 'odd' else 'even' end, 3 * i
from generate_series(1, 120) as i;
create table public.kinds (name text, wanted boolean);
insert into public.kinds values ('odd', false), ('even', true);
select * from pgml.train(
    'parts', 'regression', 'parts', 'y', 'linear',
    filter => $$
        client_id = 1 -- one client's
        and kind in (select k.name from kinds k where k.wanted = true)
        and noted >= timestamp '2024-03-01' - interval '1 month' and not size is null
    $$
);
select analysis ->> 'samples' as samples from pgml.snapshots;
select count(*) from public.parts
where client_id = 1 and kind in (select name from public.kinds where wanted) and noted >= '2024-02-01';
select * from pgml.train('parts', filter => 'size > 5', relation_name => 'parts', y_column_name => 'missing');
select * from pgml.train('parts', relation_name => 'parts', y_column_name => 'y', filter => 'pg_sleep(1) is null');
select * from pgml.train('parts', relation_name => 'parts', y_column_name => 'y', filter => 'size > 1; drop table parts');
select * from pgml.train('parts', relation_name => 'parts', y_column_name => 'y', filter => 'colour = 1');
select * from pgml.train('parts', relation_name => 'parts', y_column_name => 'y', filter => 'size >');
select * from pgml.train('parts', relation_name => 'parts', y_column_name => 'y', filter => 'size > 1000');
