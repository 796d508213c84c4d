-- Labels that became known later must not stand in the histories of what is scored as of then: undone with the transaction.
insert into quarantine (entity, entity_id, check_name, reason, run_id)
select
    %(entity)s,
    entity_id,
    'leak_probe',
    'its label was not known at that moment',
    %(run_id)s
from unnest(%(entity_ids)s::bigint[]) as one (entity_id)
on conflict do nothing
