-- Answers outside the 80 %% range that the entity's answer before had: something about it has changed, or the model has.
with
now_ as (
    select
        entity_id,
        entity_key,
        as_of,
        prediction_value as value,
        model_uuid
    from ml.prediction_log
    where
        client_id = %(client_id)s
        and model = %(model)s
        and run_id = %(run_id)s
        and source = 'nightly'
        and active
),
compared as (
    select
        now_.entity_id,
        now_.entity_key,
        now_.value,
        before.as_of,
        before.model_uuid is distinct from now_.model_uuid as other_model,
        greatest((before.ranges ->> 'low_80')::float8 - passed.seconds, 0) as low,
        greatest((before.ranges ->> 'high_80')::float8 - passed.seconds, 0) as high
    from now_
    cross join lateral (
        select
            answers.as_of,
            answers.model_uuid,
            answers.ranges
        from ml.prediction_log as answers
        where
            answers.client_id = %(client_id)s
            and answers.model = %(model)s
            and answers.entity_id = now_.entity_id
            -- Another entity may have had the id before.
            and (answers.entity_key is null or answers.entity_key = now_.entity_key)
            and answers.source = 'nightly'
            and answers.active
            and answers.as_of < now_.as_of
        order by answers.as_of desc, answers.created_at desc
        limit 1
    ) as before
    cross join lateral (
        select case when %(elapses)s then extract(epoch from now_.as_of - before.as_of)::float8 else 0 end as seconds
    ) as passed
    where before.ranges is not null
)
select
    entity_id,
    entity_key,
    case
        -- A range of few values, as points are, may have no width: beyond it there is a next step always.
        when value < least(low - (high - low), low / 2) or value > greatest(high + (high - low), high * 2) then 'high'
        when other_model then 'low'
        else 'medium'
    end as severity,
    format(
        '%%s %%s is answered with %%s%%s; on %%s its 80 %%%% range was %%s to %%s%%s%%s.',
        replace(%(entity)s::text, '_', ' '),
        coalesce(entity_key, entity_id::text),
        round((value / %(unit_size)s)::numeric, 2),
        %(unit)s::text,
        to_char(as_of, 'YYYY-MM-DD'),
        round((low / %(unit_size)s)::numeric, 2),
        round((high / %(unit_size)s)::numeric, 2),
        %(unit)s::text,
        case when other_model then ', by another model' else '' end
    ) as sentence
from compared
where value < low or value > high
order by
    greatest(low - value, value - high) / greatest(high - low, 1e-9) desc,
    entity_id
limit %(most)s
