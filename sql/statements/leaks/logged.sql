-- What earlier nights have told the model of entities whose label has become known since: of each its first vector, for the
-- nights that have most of them. Of nights with the same features alone, made by the same statement with the same settings.
with
firsts as (
    select distinct on (logged.entity_id)
        logged.entity_id,
        logged.as_of,
        logged.input_features
    from unnest(%(entity_ids)s::bigint[], %(entity_keys)s::text[]) as asked (entity_id, entity_key)
    join ml.prediction_log as logged
        on
            logged.entity_id = asked.entity_id
            and (logged.entity_key is null or logged.entity_key = asked.entity_key)
    join ml.nightly_runs as runs on runs.run_id = logged.run_id
    join ml.training_runs as training on training.run_id = logged.run_id and training.model = logged.model
    where
        logged.client_id = %(client_id)s
        and logged.model = %(model)s
        and logged.source = 'nightly'
        and logged.active
        and logged.feature_hash = %(feature_hash)s
        and logged.as_of < %(as_of)s
        and training.spec_digest = %(spec_digest)s
    order by logged.entity_id, logged.as_of
),
nights as (
    select as_of
    from firsts
    group by as_of
    order by count(*) desc, as_of
    limit %(nights)s
)
select
    firsts.entity_id,
    firsts.as_of,
    firsts.input_features
from firsts
join nights on nights.as_of = firsts.as_of
order by firsts.as_of, firsts.entity_id
