-- The present list of tables, whatever it was.
alter publication {publication} set table {tables}
