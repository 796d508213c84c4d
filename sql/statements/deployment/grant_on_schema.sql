-- To enter the schema; what stands in it has grants of its own.
grant {privileges} on schema {schema} to {roles}
