analyze {tables}
