-- Seconds since the heartbeat that this replica shows: its copies are at least as new as that.
select extract(epoch from clock_timestamp() - max(beat_at))::float8 as seconds
from ml.heartbeat
