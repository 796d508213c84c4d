-- Whether this login may set the sequence of the models' ids, and where that stands; null where no model was trained yet. By the
-- catalogue: its name would be looked up in a schema that not everybody may enter.
select
    has_sequence_privilege(c.oid, 'update') as allowed,
    case when has_sequence_privilege(c.oid, 'usage, select') then pg_sequence_last_value(c.oid) end as last
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = 'pgml' and c.relname = 'models_id_seq'
