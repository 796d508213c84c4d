-- SQLite: one row.
insert into rows (line) values (?)
