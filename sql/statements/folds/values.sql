-- The label's values that are not rare, and the share of the training rows that each has.
select
    label,
    share
from (
    select
        label,
        count(*)::float8 / sum(count(*)) over ()::float8 as share
    from {table}
    where part = 'train'
    group by label
) as counted
where share >= %(least)s
order by label
