-- What became of them, and what the simple rung said.
select
    label,
    simple,
    slice
from judged
order by position
