-- What set-up asks of a server: its release, how it writes WAL, whose login this is.
select
    current_setting('server_version_num')::integer as version,
    current_setting('server_version') as version_text,
    current_setting('wal_level') as wal_level,
    current_setting('is_superuser') = 'on' as is_superuser,
    -- Tells servers apart, also two that were made from one backup.
    pg_postmaster_start_time()::text || ' ' || (select system_identifier from pg_control_system()) as identity
