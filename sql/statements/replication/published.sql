-- The tables of the publication.
select schemaname || '.' || tablename as name
from pg_publication_tables
where pubname = %(publication)s
