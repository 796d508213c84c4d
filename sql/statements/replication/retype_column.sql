-- The platform has changed the column's type, and new values may not fit into the old one.
alter table {table} alter column {column} type {type} using {column}::{type}
