-- Compare and set: only what was judged is replaced.
update ml.champions
set
    version = version + 1,
    rung = %(rung)s,
    model_uuid = %(model_uuid)s,
    model_name = %(model_name)s,
    replica_conn_id = %(replica_conn_id)s,
    pgml_model_id = %(pgml_model_id)s,
    feature_hash = %(feature_hash)s,
    promoted_at = clock_timestamp()
where
    client_id = %(client_id)s
    and model = %(model)s
    and version = %(judged_version)s
