-- SQLite: the next rows to send.
select
    id,
    line
from rows
order by id
limit ?
