-- Whether that model of that project can be called. The id alone is no proof: a replica that is rebuilt counts from 1 again.
select exists (
    select
    from pgml.models as models
    join pgml.projects as projects on projects.id = models.project_id
    where
        models.id = %(model_id)s
        and models.status = 'successful'
        and projects.name = %(project)s
) as there
