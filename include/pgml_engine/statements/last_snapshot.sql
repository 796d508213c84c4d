-- What the project was last trained on.
select
    s.relation_name,
    s.y_column_name,
    s.test_size,
    s.test_sampling::text as test_sampling,
    s.columns::text as columns
from pgml.models as m
inner join pgml.snapshots as s on m.snapshot_id = s.id
where m.project_id = $1
order by m.created_at desc, m.id desc
limit 1
