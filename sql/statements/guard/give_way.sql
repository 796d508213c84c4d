-- Cancel the backend's statement if a session waits for it that needs a table for itself: replication that applies a
-- TRUNCATE, or set-up that adds a column. Behind that session every other reader of the table waits too.
select coalesce(bool_or(pg_cancel_backend(%(pid)s::integer)), false) as signalled
where
    exists (
        select
        from pg_locks as waiting
        where
            not waiting.granted
            and waiting.mode = 'AccessExclusiveLock'
            and %(pid)s::integer = any(pg_blocking_pids(waiting.pid))
    )
