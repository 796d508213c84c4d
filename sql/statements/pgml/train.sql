-- Alone in its transaction: PostgresML shows a deployment to others before the commit, and after a rollback too.
select ml_pgml.train(
    project => %(project)s::text,
    task => %(task)s::text,
    relation => %(relation)s::text,
    label => %(label)s::text,
    algorithm => %(algorithm)s::text,
    hyperparams => %(hyperparams)s::jsonb,
    test_size => %(test_size)s::real
) as id
