-- The newest deployment of a project is the one that answers.
insert into pgml.deployments (project_id, model_id, strategy)
values ($1, $2, $3::pgml.strategy)
