-- The snapshot that this session has just inserted.
select pg_catalog.currval('pgml.snapshots_id_seq') as id
