-- Every client that should have a nightly.
select *
from ml.clients
where active
order by slug
