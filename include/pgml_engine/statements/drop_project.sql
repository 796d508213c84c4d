-- Models and all that hangs on them go along.
delete from pgml.projects
where name = $1
returning id
