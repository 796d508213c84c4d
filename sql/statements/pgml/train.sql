-- Alone in its transaction: PostgresML shows a deployment to others before the commit, and after a rollback too.
select *
from pgml.train(
    project_name => %(project)s::text,
    task => %(task)s::text,
    relation_name => %(relation)s::text,
    y_column_name => %(label)s::text,
    algorithm => %(algorithm)s::pgml.algorithm,
    hyperparams => %(hyperparams)s::jsonb,
    test_size => %(test_size)s::real,
    test_sampling => 'last',
    runtime => %(runtime)s::pgml.runtime,
    automatic_deploy => false
)
