-- The columns of a copy, once its rows are in.
update pgml.snapshots
set columns = $2::jsonb, analysis = $3::jsonb
where id = $1
