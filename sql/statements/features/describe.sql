-- What came out. The fingerprint does not depend on the order in which rows are stored.
select
    count(*) filter (where part = 'train') as rows_train,
    count(*) filter (where part = 'test') as rows_test,
    count(*) filter (where part = 'censored') as rows_censored,
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
