-- One row of features, one answer: the last probability of a classification is that of class 1.
with
answers as (
    select given[cardinality(given)]::float8 as answer
    from (select {answers}(%(model_id)s::bigint, %(features)s::real[]) as given) as called
)
select {undone} as value
from answers
