-- Which of those clients this replica does not know yet.
select client_id
from unnest(%(client_ids)s::integer[]) as wanted (client_id)
where not exists (select from pg_namespace where nspname = 'ml_client_' || client_id)
order by client_id
