-- What the test rows say beyond PostgresML's metrics.
insert into pgml.model_reports (model_id, report)
values ($1, $2::jsonb)
