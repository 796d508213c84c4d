-- Our roles and those that give a privilege: what they may, and what this login may with them.
select
    r.rolname::text as name,
    r.rolcanlogin as login,
    r.rolcreaterole as createrole,
    r.rolreplication as replication,
    r.rolbypassrls as bypassrls,
    not r.rolinherit as noinherit,
    pg_has_role(r.oid, 'usage') as is_ours,
    pg_has_role(r.oid, 'member with admin option') as is_administered,
    coalesce('row_security=off' = any(s.setconfig), false) as row_security_off
from pg_roles as r
left join pg_db_role_setting as s on s.setrole = r.oid and s.setdatabase = 0
where r.rolname ~ '^(foresight_|pgml_user$|pg_read_all_data$|pg_create_subscription$|rds_)'
