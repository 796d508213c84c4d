-- What the gateway's role needs where the extension PostgresML is, which grants nothing by itself and runs its functions as their
-- caller. The clients get nothing of it: its tables and functions know no owners, and it unpickles what stands in its files.
grant usage on schema pgml to foresight_pgml;
grant select, insert on pgml.projects, pgml.snapshots, pgml.models, pgml.deployments, pgml.files to foresight_pgml;
grant update on pgml.snapshots, pgml.models to foresight_pgml;
grant delete on pgml.projects, pgml.snapshots, pgml.models to foresight_pgml;
grant select on pgml.deployed_models to foresight_pgml;
grant usage, select, update on all sequences in schema pgml to foresight_pgml;
-- Earlier versions of Foresight let the clients in.
revoke all on schema pgml from pgml_user;
revoke all on all tables in schema pgml from pgml_user;
revoke all on all sequences in schema pgml from pgml_user;
