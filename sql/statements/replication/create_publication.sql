-- Whole tables: a list of columns would keep the platform from dropping one of them.
create publication {publication} for table {tables}
