-- What one kind of look has found in a night.
insert into ml.anomalies (run_id, client_id, model, kind, entity_id, entity_key, severity, sentence)
select
    %(run_id)s,
    %(client_id)s,
    %(model)s,
    %(kind)s,
    found.entity_id,
    found.entity_key,
    found.severity,
    found.sentence
from unnest(%(entity_id)s::bigint[], %(entity_key)s::text[], %(severity)s::text[], %(sentence)s::text[])
    as found (entity_id, entity_key, severity, sentence)
