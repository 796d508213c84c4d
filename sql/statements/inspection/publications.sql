-- Publications of this database, whose they are, and what they publish.
select
    p.pubname::text as name,
    pg_get_userbyid(p.pubowner)::text as owner,
    pg_has_role(p.pubowner, 'usage') as is_ours,
    array(
        select t.schemaname || '.' || t.tablename
        from pg_publication_tables as t
        where t.pubname = p.pubname
    ) as tables
from pg_publication as p
order by p.pubname
