-- What the group of the clients' roles needs where the extension PostgresML is: it grants nothing by itself, and its functions
-- run as their caller. There it is our naming of projects, not a policy, that separates clients.
grant usage on schema pgml to pgml_user;
grant select, insert on all tables in schema pgml to pgml_user;
grant update on pgml.snapshots, pgml.models to pgml_user;
grant usage on all sequences in schema pgml to pgml_user;
