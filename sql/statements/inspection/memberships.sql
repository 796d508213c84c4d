-- Who is a member of which of these roles, and may make others members.
select m.rolname::text as member, g.rolname::text as name, bool_or(a.admin_option) as admin
from pg_auth_members as a
join pg_roles as m on m.oid = a.member
join pg_roles as g on g.oid = a.roleid
where g.rolname ~ '^(foresight_|pgml_user$|pg_read_all_data$|rds_)'
group by m.rolname, g.rolname
