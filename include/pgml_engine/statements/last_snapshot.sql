-- What the project was last trained on.
select
    s.id,
    s.relation_name,
    s.y_column_name,
    s.test_size,
    s.test_sampling::text as test_sampling,
    s.columns::text as columns,
    s.materialized,
    o.options::text as options
from pgml.models as m
inner join pgml.snapshots as s on m.snapshot_id = s.id
left join pgml.snapshot_options as o on s.id = o.snapshot_id
where m.project_id = $1
order by m.created_at desc, m.id desc
limit 1
