-- Where the training rows are cut in time to be judged on before the run's own last rows are: what was known at `after` is
-- learned from, the rows from there to `until` are judged on.
with
cuts as (
    select
        after,
        coalesce(lead(after) over (order by after), timestamp '9999-12-31') as until
    from (
        select distinct unnest(percentile_disc(%(shares)s::float8[]) within group (order by moment)) as after
        from {table}
        where part = 'train'
    ) as found
)
select
    cuts.after,
    cuts.until,
    count(*) filter (where rows.known_at <= cuts.after) as learned,
    count(*) filter (where rows.moment > cuts.after and rows.moment <= cuts.until) as judged,
    count(distinct rows.label) filter (where rows.known_at <= cuts.after) as labels_learned,
    count(distinct rows.label) filter (where rows.moment > cuts.after and rows.moment <= cuts.until) as labels_judged
from cuts
cross join {table} as rows
where rows.part = 'train'
group by cuts.after, cuts.until
order by cuts.after
