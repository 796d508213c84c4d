-- Models that were only there to be compared. Their files go along.
delete from pgml.models
where id = any(%(ids)s::bigint[])
