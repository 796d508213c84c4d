-- Totals of the predictions: whether the prior gave all of them, the lowest and the highest value.
select
    count(*) as rows,
    bool_and(from_prior) as from_prior,
    min(value) as lowest,
    max(value) as highest
from incoming
