-- By id, and alone in its transaction.
select ml_pgml.deploy(%(model_id)s::bigint)
