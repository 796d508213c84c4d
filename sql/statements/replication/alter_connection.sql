-- Where the primary is by now, or the replication login's new password.
alter subscription {subscription} connection {conninfo}
