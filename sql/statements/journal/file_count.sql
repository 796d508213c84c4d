-- SQLite: how many rows wait.
select count(*)
from rows
