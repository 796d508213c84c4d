-- Who may ask: every client, for itself.
revoke all on all functions in schema ml_pgml from public;
grant usage on schema ml_pgml to foresight_clients;
grant execute on all functions in schema ml_pgml to foresight_clients;
revoke all on function ml_pgml.erase(integer) from foresight_clients;
