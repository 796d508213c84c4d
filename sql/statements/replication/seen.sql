-- Whether the replica shows this heartbeat, and with it everything that was committed on the primary before.
select coalesce(max(beat_at) >= %(beat)s, false) as seen
from ml.heartbeat
