-- Who is in the registry, by which slug.
select client_id, slug
from ml.clients
