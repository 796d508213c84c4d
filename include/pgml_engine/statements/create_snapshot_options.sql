-- What a snapshot was made with beyond PostgresML's arguments, so that a training without a relation can repeat it.
insert into pgml.snapshot_options (snapshot_id, options)
values ($1, $2::jsonb)
