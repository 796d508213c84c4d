-- The candidates of a model with their part: learned from, judged on, or left out and why. The last share of the rows by
-- moment is judged on; learned from is what was known before the first of those moments. What has features and no label yet
-- is censored: of it is known only that it is not over.
create table {table} as
with
built as (
    {features}
),
cut as (
    select percentile_disc(1 - %(test_size)s::float8) within group (order by moment) as moment
    from built
    where excluded is null and label is not null
)
select
    built.*,
    source.key as entity_key,
    case
        when built.excluded is not null then 'excluded'
        when built.label is null then 'censored'
        when built.moment > cut.moment then 'test'
        when built.known_at <= cut.moment then 'train'
        else 'between'
    end as part
from built
cross join cut
left join {source} as source on source.id = built.entity_id and source.client_id = built.client_id
