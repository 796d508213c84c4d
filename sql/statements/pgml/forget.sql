-- Old models of these projects. Deployments and files go along.
delete from pgml.models
where
    id in (
        select ranked.id
        from (
            select
                models.id,
                row_number() over (partition by models.project_id order by models.id desc) as age
            from pgml.models as models
            join pgml.projects as projects on projects.id = models.project_id
            where projects.name = any(%(projects)s::text[])
        ) as ranked
        where ranked.age > %(newest)s
    )
    and id <> all(%(keep)s::bigint[])
