-- The model that pgml holds for deployed.
select id
from pgml.deployed_models
where name = %(project)s
