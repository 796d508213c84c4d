-- Which process of the server answers here. (The driver's word for it is made up where a pooler stands between.)
select pg_backend_pid()
