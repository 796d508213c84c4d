select digest
from ml.applied
where part = %(part)s
