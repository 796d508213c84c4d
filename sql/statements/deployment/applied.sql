-- Which state of a set of files this database has.
select digest
from ml.applied
where part = %(part)s
