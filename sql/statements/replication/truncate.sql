truncate {tables}
