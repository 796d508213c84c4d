-- The last moment of the client's data that its nights have seen.
select max(as_of) as as_of
from ml.nightly_runs
where client_id = %(client_id)s
