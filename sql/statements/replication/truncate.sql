-- Before everything is copied anew.
truncate {tables}
