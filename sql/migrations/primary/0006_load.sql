-- What a training has asked of its replica, and how a model's look found the data and the replica.
alter table ml.training_runs
add column peak_bytes bigint,
-- of all sessions of the replica's database meanwhile: the server does not count them apart
add column temp_bytes bigint,
add column longest_seconds double precision,
-- its path in sql/statements
add column longest_statement text;

alter table ml.model_health
-- up to when the client's rows go
add column data_as_of timestamp,
-- until the replica had what the primary had; null: not within the time that was waited
add column replica_behind_seconds double precision;
