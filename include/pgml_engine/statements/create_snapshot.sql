-- Its id is read with currval: `returning` would ask for the right to see the row before its owner is recorded.
insert into pgml.snapshots (relation_name, y_column_name, test_size, test_sampling, status, columns, analysis, materialized)
values ($1, $2, $3, $4::pgml.sampling, 'successful', $5::jsonb, $6::jsonb, $7)
