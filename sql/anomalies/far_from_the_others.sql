-- Answers far from the night's others: beyond five robust deviations on the logarithmic scale. Of few answers nothing is said.
with
answers as (
    select
        entity_id,
        entity_key,
        prediction_value as value,
        ln(1 + greatest(prediction_value, 0)) as level
    from ml.prediction_log
    where
        client_id = %(client_id)s
        and model = %(model)s
        and run_id = %(run_id)s
        and source = 'nightly'
        and active
),
middle as (
    select
        count(*) as rows,
        percentile_cont(0.5) within group (order by level) as level
    from answers
),
spread as (
    select 1.4826 * percentile_cont(0.5) within group (order by abs(answers.level - middle.level)) as size
    from answers
    cross join middle
)
select
    answers.entity_id,
    answers.entity_key,
    case when abs(answers.level - middle.level) > 8 * spread.size then 'high' else 'medium' end as severity,
    format(
        '%%s %%s is answered with %%s%%s; the middle of the night''s %%s answers is %%s%%s.',
        replace(%(entity)s::text, '_', ' '),
        coalesce(answers.entity_key, answers.entity_id::text),
        round((answers.value / %(unit_size)s)::numeric, 2),
        %(unit)s::text,
        middle.rows,
        round(((exp(middle.level) - 1) / %(unit_size)s)::numeric, 2),
        %(unit)s::text
    ) as sentence
from answers
cross join middle
cross join spread
where
    middle.rows >= 30
    and spread.size > 0
    and abs(answers.level - middle.level) > 5 * spread.size
order by
    abs(answers.level - middle.level) desc,
    answers.entity_id
limit %(most)s
