alter subscription {subscription} enable
