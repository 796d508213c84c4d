-- Old models of these projects, and their snapshots. Deployments and files go along.
select ml_pgml.forget(%(projects)s::text[], %(keep)s::bigint[], %(newest)s::integer) as gone
