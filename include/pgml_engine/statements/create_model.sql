-- A model exists only when its fit has succeeded.
insert into pgml.models (
    project_id, snapshot_id, num_features, algorithm, runtime, hyperparams, status, metrics, search, search_params, search_args
)
values ($1, $2, $3, $4, 'python', $5::jsonb, 'successful', $6::jsonb, $7, $8::jsonb, $9::jsonb)
returning id
