-- SQLite: the rows that are not on the primary yet, in the order in which they came.
create table if not exists rows (id integer primary key autoincrement, line text not null)
