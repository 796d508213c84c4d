-- Begin with the tables that the publication has got since.
alter subscription {subscription} refresh publication
