-- What the answers are, as a whole: of the prior alone, and from which value to which.
select
    count(*) as rows,
    bool_and(from_prior) as from_prior,
    min(value) as lowest,
    max(value) as highest
from incoming
