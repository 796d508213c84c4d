alter subscription {subscription} refresh publication
