-- The model that pgml holds for deployed.
select ml_pgml.deployed(%(project)s::text) as id
