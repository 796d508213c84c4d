-- What came out. The fingerprint does not depend on the order in which rows are stored. `varied`: rows whose label is
-- another than the most frequent one of their part.
with
labels as (
    select
        part,
        sum(rows) - max(rows) as varied
    from (
        select part, label, count(*) as rows
        from {table}
        where part in ('train', 'test')
        group by part, label
    ) as counted
    group by part
)
select
    count(*) filter (where part = 'train') as rows_train,
    count(*) filter (where part = 'test') as rows_test,
    count(*) filter (where part = 'censored') as rows_censored,
    coalesce((select varied from labels where part = 'train'), 0)::integer as varied_train,
    coalesce((select varied from labels where part = 'test'), 0)::integer as varied_test,
    count(*) filter (where client_id is distinct from %(client_id)s) as foreign_rows,
    max(moment) filter (where part in ('train', 'between')) as cut_at,
    coalesce(sum(hashtextextended(built::text, 0)) filter (where part in ('train', 'test')), 0) as fingerprint,
    (
        select coalesce(jsonb_object_agg(reason, removed), '{{}}')
        from (
            select coalesce(excluded, 'label known too late') as reason, count(*) as removed
            from {table}
            where part in ('excluded', 'between')
            group by 1
        ) as reasons
    ) as rows_removed
from {table} as built
