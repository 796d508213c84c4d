-- What models that are gone were trained on, unless another was too.
delete from pgml.snapshots as s
where
    s.id = any($1)
    and not exists (select from pgml.models as m where m.snapshot_id = s.id)
