-- Files, deployments and the report go along.
delete from pgml.models
where id = $1
returning id
