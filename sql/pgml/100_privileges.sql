revoke all on all functions in schema pgml from public;
grant execute on all functions in schema pgml to pgml_user;
