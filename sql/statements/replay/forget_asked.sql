-- What the model before was asked.
drop table if exists asked
