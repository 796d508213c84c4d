-- Whose nightlies there are.
select slug
from ml.clients
where active
order by slug
