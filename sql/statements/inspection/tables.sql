-- Tables of schema public: whose they are, how their rows are told apart, whether policies hide some, who reads them.
select
    c.relname::text as name,
    pg_get_userbyid(c.relowner)::text as owner,
    pg_has_role(c.relowner, 'usage') as is_ours,
    c.relrowsecurity as has_policies,
    case c.relreplident when 'd' then 'default' when 'n' then 'nothing' when 'f' then 'full' else 'index' end as identity,
    exists (select from pg_index as i where i.indrelid = c.oid and i.indisprimary) as has_key,
    array(
        select r.rolname::text
        from pg_roles as r
        where
            r.rolname in ('foresight_replication', 'foresight_reader')
            and has_schema_privilege(r.oid, c.relnamespace, 'usage')
            and has_table_privilege(r.oid, c.oid, 'select')
    ) as readers
from pg_class as c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname = any(%(tables)s)
