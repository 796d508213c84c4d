-- No row, but the names of the columns that the SQL gives today.
select *
from (
    {features}
) as rows
limit 0
