-- Has a set of files applied again.
delete from ml.applied
where part = %(part)s
