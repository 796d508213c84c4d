alter subscription {subscription} connection {conninfo}
