-- SQLite: what has been sent.
delete from rows
where id <= ?
