-- How many rows could not be scored.
select count(*) as excluded
from scored
where excluded is not null
