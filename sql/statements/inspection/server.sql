-- What set-up asks of a server: its release, how it writes WAL, and what this login may in this database.
select
    current_setting('server_version_num')::integer as version,
    current_setting('server_version') as version_text,
    current_setting('wal_level') as wal_level,
    current_setting('max_wal_senders')::integer as wal_senders,
    current_setting('max_replication_slots')::integer as slots,
    current_setting('max_slot_wal_keep_size') as slot_limit,
    -- Tells servers apart, also two that were made from one backup.
    pg_postmaster_start_time()::text || ' ' || (select system_identifier from pg_control_system()) as identity,
    r.rolname::text as login,
    r.rolsuper as is_superuser,
    r.rolcreaterole as may_create_roles,
    r.rolbypassrls as bypasses_policies,
    r.rolreplication as may_replicate,
    d.datname::text as database,
    pg_has_role(d.datdba, 'usage') as owns_database,
    has_database_privilege(d.oid, 'create') as may_create,
    (select pg_has_role(nspowner, 'usage') from pg_namespace where nspname = 'public') as owns_public,
    (select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = 'ml') as owner_of_ml
from pg_roles as r
cross join pg_database as d
where r.rolname = current_user and d.datname = current_database()
