-- A later moment than any before, even where the clock was set back: the replica is asked for "at least this".
update ml.heartbeat
set beat_at = greatest(clock_timestamp(), beat_at + interval '1 microsecond')
returning beat_at
