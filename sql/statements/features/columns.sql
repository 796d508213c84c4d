-- No row, but the names of the columns.
select *
from {table}
limit 0
