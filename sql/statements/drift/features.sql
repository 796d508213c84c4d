-- Of every feature in the first answers about entities: mean and spread in the last days before the newest answer, and in
-- the time before. With `until` as that moment saw it.
with
first as (
    select distinct on (answers.entity_id, answers.entity_key)
        answers.as_of,
        answers.prediction_value,
        answers.input_features,
        answers.feature_hash
    from ml.prediction_log as answers
    where
        answers.client_id = %(client_id)s
        and answers.model = %(model)s
        and answers.source = 'nightly'
        and answers.active
        and (%(until)s::timestamp is null or answers.as_of <= %(until)s::timestamp)
    order by
        answers.entity_id,
        answers.entity_key,
        answers.as_of,
        answers.created_at
),
newest as (
    select
        max(as_of) - make_interval(days => %(days)s) as lately,
        max(as_of) - make_interval(days => %(before_days)s) as earliest
    from first
),
parts as (
    select
        first.as_of > newest.lately as recent,
        first.prediction_value,
        first.input_features
    from first
    cross join newest
    where first.as_of > newest.earliest
)
select
    features.name,
    count(*) filter (where not parts.recent) as rows_before,
    count(*) filter (where parts.recent) as rows_recent,
    avg(features.value) filter (where not parts.recent) as mean_before,
    avg(features.value) filter (where parts.recent) as mean_recent,
    coalesce(var_samp(features.value) filter (where not parts.recent), 0) as variance_before,
    coalesce(var_samp(features.value) filter (where parts.recent), 0) as variance_recent
from parts
cross join lateral (
    select
        given.key as name,
        given.value::text::float8 as value
    from jsonb_each(parts.input_features) as given
    where jsonb_typeof(given.value) = 'number'
    union all
    select
        'prediction' as name,
        parts.prediction_value as value
) as features
group by features.name
order by features.name
