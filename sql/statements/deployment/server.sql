select
    current_setting('server_version_num')::integer as version,
    current_setting('server_version') as version_text,
    current_setting('wal_level') as wal_level,
    current_setting('is_superuser') = 'on' as is_superuser
