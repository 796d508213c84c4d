-- Whether that model of that project can be called. The id alone is no proof: a replica that is rebuilt counts from 1 again.
select exists (
    select
    from ml_pgml.model(%(model_id)s::bigint)
    where status = 'successful' and project = %(project)s
) as there
