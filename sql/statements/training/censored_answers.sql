-- How long they have lived, and what the simple rung said.
select
    at_least,
    simple
from censored
order by position
