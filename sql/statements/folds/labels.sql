-- What became of them, and what the simple rung said.
select
    label,
    simple
from of_fold
order by position
