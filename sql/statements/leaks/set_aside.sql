-- Labels that became known later must not stand in the histories of what is scored as of then: undone with the transaction.
insert into quarantine (entity, entity_id, check_name, reason, run_id)
select
    %(entity)s,
    source.id,
    'leak_probe',
    'its label was not known at that moment',
    %(run_id)s
from unnest(%(entity_ids)s::bigint[], %(entity_keys)s::text[]) as one (entity_id, entity_key)
join {source} as source
    on
        source.client_id = %(client_id)s
        and source.id = one.entity_id
        and (one.entity_key is null or one.entity_key = source.key)
on conflict do nothing
