-- What the server's own configuration calls it.
select current_setting('cluster_name') as cluster_name
