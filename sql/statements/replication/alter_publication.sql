alter publication {publication} set table {tables}
