-- One key.
select *
from ml.api_keys
where key_id = %(key_id)s
