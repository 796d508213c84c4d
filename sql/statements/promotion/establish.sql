-- The first champion of a model; no row when there is one by now.
insert into ml.champions (
    client_id, model, version, rung, model_uuid, model_name, replica_conn_id, pgml_model_id, feature_hash
)
values (
    %(client_id)s,
    %(model)s,
    %(judged_version)s + 1,
    %(rung)s,
    %(model_uuid)s,
    %(model_name)s,
    %(replica_conn_id)s,
    %(pgml_model_id)s,
    %(feature_hash)s
)
on conflict (client_id, model) do nothing
