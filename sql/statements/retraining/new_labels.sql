-- How many of the table's labels came after a moment.
select count(*) as rows
from {table}
where
    part in ('train', 'between', 'test')
    and known_at > %(since)s::timestamp
