-- What one kind of look has found in a night.
insert into ml.anomalies (run_id, client_id, model, kind, entity_id, severity, sentence)
select
    %(run_id)s,
    %(client_id)s,
    %(model)s,
    %(kind)s,
    found.entity_id,
    found.severity,
    found.sentence
from unnest(%(entity_id)s::bigint[], %(severity)s::text[], %(sentence)s::text[]) as found (entity_id, severity, sentence)
