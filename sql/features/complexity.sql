-- Story points of issues: the rows that a model learns from, or the issues to estimate. README.md has the contract.
with
asked as not materialized (
    select
        %(client_id)s::integer as client_id,
        %(as_of)s::timestamp as as_of,
        %(scoring)s::boolean as scoring,
        %(entity_ids)s::bigint[] as entity_ids,
        %(prior)s::float8 as prior,
        %(window_months)s::integer as window_months,
        %(cap)s::float8 as cap,
        %(recent_labels)s::integer as recent_labels
),
issues as not materialized (
    select
        i.client_id,
        i.id,
        coalesce(i.project_key, 'none') as project,
        i.issuetype,
        i.summary,
        i.description,
        i.details,
        i.story_points,
        i.active,
        coalesce(i.status_to in ('Done', 'Discarded') or i.status_category in ('Done', 'Discarded'), false) as over,
        i.issuetype in ('Story', 'Task', 'Bug') is true as estimated,
        length(i.summary) > 10 is true as told,
        i.id in (select q.entity_id from quarantine as q where q.entity = 'issue') as quarantined,
        -- Arithmetic on moments outside these would raise.
        case when i.created between timestamp '1900-01-01' and timestamp '2200-01-01' then i.created end as created
    from ml.source_issues as i
    cross join asked
    where i.client_id = asked.client_id
),
-- The platform has no history of points: an issue counts as estimated from its creation on.
labels as materialized (
    select
        i.id,
        i.project,
        i.issuetype,
        i.story_points as label,
        i.created as known_at
    from issues as i
    cross join asked
    where
        i.active
        and i.estimated
        and i.told
        and not i.quarantined
        and i.story_points > 0
        and i.story_points <= asked.cap
        and i.created < asked.as_of
),
of_client as materialized (
    select
        array_agg(label order by known_at, id) as labels,
        array_agg(known_at order by known_at, id) as times
    from labels
),
of_project as materialized (
    select
        project,
        array_agg(label order by known_at, id) as labels,
        array_agg(known_at order by known_at, id) as times
    from labels
    group by project
),
of_type as materialized (
    select
        issuetype,
        array_agg(label order by known_at, id) as labels,
        array_agg(known_at order by known_at, id) as times
    from labels
    group by issuetype
),
rows as materialized (
    select
        i.client_id,
        i.id as entity_id,
        case when asked.scoring then asked.as_of else i.created end as moment,
        i.created,
        i.story_points,
        i.project,
        i.issuetype,
        i.summary,
        i.description,
        i.details,
        case
            when not i.estimated then 'other type'
            when asked.scoring and asked.entity_ids is not null
                then case when coalesce(btrim(i.summary), '') = '' then 'no summary' end
            when not i.active then 'inactive'
            when i.created is null then 'no creation date'
            when i.created > asked.as_of then 'created later'
            when not i.told then 'short summary'
            when i.quarantined then 'quarantined'
            when asked.scoring then null
            when i.story_points is null then 'no points'
            when not i.story_points > 0 then 'zero points'
            when not i.story_points <= asked.cap then 'over the cap'
            when i.created < asked.as_of - make_interval(months => asked.window_months)
                then 'older than ' || asked.window_months || ' months'
        end as excluded
    from issues as i
    cross join asked
    where
        (asked.entity_ids is null or i.id = any(asked.entity_ids))
        and (
            not asked.scoring
            or asked.entity_ids is not null
            or (i.estimated and not i.over and coalesce(i.story_points, 0) = 0)
        )
)
select
    r.client_id,
    r.entity_id,
    r.moment,
    case when not asked.scoring and r.excluded is null then r.created end as known_at,
    case when not asked.scoring and r.excluded is null then r.story_points end as label,
    recent.median as simple,
    known.labels as known_labels,
    r.project as slice,
    r.excluded,
    -- How well the client is known; beyond 100 it would only tell the date.
    ln(1 + least(known.labels, 100)) as history,
    ln(1 + recent.median) as recent_median,
    recent.spread as recent_spread,
    ln(1 + (known.in_project * coalesce(project.median, 0) + 5 * recent.median) / (known.in_project + 5))
        as project_median,
    ln(1 + (known.in_type * coalesce(type.median, 0) + 5 * recent.median) / (known.in_type + 5)) as type_median,
    texts.type_story,
    texts.type_task,
    texts.type_bug,
    ln(1 + texts.summary_length) as summary_length,
    texts.summary_words,
    ln(1 + texts.description_length) as description_length,
    ln(1 + texts.description_words) as description_words,
    texts.has_description,
    texts.has_details,
    texts.summary_terms[1] as term_00,
    texts.summary_terms[2] as term_01,
    texts.summary_terms[3] as term_02,
    texts.summary_terms[4] as term_03,
    texts.summary_terms[5] as term_04,
    texts.summary_terms[6] as term_05,
    texts.summary_terms[7] as term_06,
    texts.summary_terms[8] as term_07,
    texts.summary_terms[9] as term_08,
    texts.summary_terms[10] as term_09,
    texts.summary_terms[11] as term_10,
    texts.summary_terms[12] as term_11,
    texts.summary_terms[13] as term_12,
    texts.summary_terms[14] as term_13,
    texts.summary_terms[15] as term_14,
    texts.summary_terms[16] as term_15,
    texts.summary_terms[17] as term_16,
    texts.summary_terms[18] as term_17,
    texts.summary_terms[19] as term_18,
    texts.summary_terms[20] as term_19,
    texts.summary_terms[21] as term_20,
    texts.summary_terms[22] as term_21,
    texts.summary_terms[23] as term_22,
    texts.summary_terms[24] as term_23,
    texts.summary_terms[25] as term_24,
    texts.summary_terms[26] as term_25,
    texts.summary_terms[27] as term_26,
    texts.summary_terms[28] as term_27,
    texts.summary_terms[29] as term_28,
    texts.summary_terms[30] as term_29,
    texts.summary_terms[31] as term_30,
    texts.summary_terms[32] as term_31,
    texts.long_terms[1] as text_00,
    texts.long_terms[2] as text_01,
    texts.long_terms[3] as text_02,
    texts.long_terms[4] as text_03,
    texts.long_terms[5] as text_04,
    texts.long_terms[6] as text_05,
    texts.long_terms[7] as text_06,
    texts.long_terms[8] as text_07,
    texts.long_terms[9] as text_08,
    texts.long_terms[10] as text_09,
    texts.long_terms[11] as text_10,
    texts.long_terms[12] as text_11,
    texts.long_terms[13] as text_12,
    texts.long_terms[14] as text_13,
    texts.long_terms[15] as text_14,
    texts.long_terms[16] as text_15
from rows as r
cross join asked
cross join of_client
left join of_project on of_project.project = r.project
left join of_type on of_type.issuetype = r.issuetype
-- `offset 0` keeps the planner from computing anything for excluded rows.
left join lateral (
    select
        coalesce(width_bucket(r.moment - interval '1 microsecond', of_client.times), 0) as labels,
        least(coalesce(width_bucket(r.moment - interval '1 microsecond', of_project.times), 0), asked.recent_labels)
            ::float8 as in_project,
        least(coalesce(width_bucket(r.moment - interval '1 microsecond', of_type.times), 0), asked.recent_labels)
            ::float8 as in_type,
        coalesce(width_bucket(r.moment - interval '1 microsecond', of_project.times), 0) as project_labels,
        coalesce(width_bucket(r.moment - interval '1 microsecond', of_type.times), 0) as type_labels
    where r.excluded is null
    offset 0
) as known on true
left join lateral (
    select
        coalesce(found.quartiles[2], asked.prior) as median,
        coalesce(ln(1 + found.quartiles[3]) - ln(1 + found.quartiles[1]), 0) as spread
    from (
        select percentile_cont(array[0.25, 0.5, 0.75]) within group (order by one.label) as quartiles
        from unnest(of_client.labels[known.labels - asked.recent_labels + 1:known.labels]) as one (label)
    ) as found
    where r.excluded is null
    offset 0
) as recent on true
left join lateral (
    select percentile_cont(0.5) within group (order by one.label) as median
    from unnest(of_project.labels[known.project_labels - asked.recent_labels + 1:known.project_labels]) as one (label)
) as project on true
left join lateral (
    select percentile_cont(0.5) within group (order by one.label) as median
    from unnest(of_type.labels[known.type_labels - asked.recent_labels + 1:known.type_labels]) as one (label)
) as type on true
left join lateral (
    select
        (r.issuetype = 'Story')::integer::float8 as type_story,
        (r.issuetype = 'Task')::integer::float8 as type_task,
        (r.issuetype = 'Bug')::integer::float8 as type_bug,
        length(r.summary)::float8 as summary_length,
        (1 + length(btrim(r.summary)) - length(replace(btrim(r.summary), ' ', '')))::float8 as summary_words,
        coalesce(length(r.description), 0)::float8 as description_length,
        coalesce(length(r.description) - length(replace(r.description, ' ', '')), 0)::float8 as description_words,
        (coalesce(btrim(r.description), '') <> '')::integer::float8 as has_description,
        (coalesce(btrim(r.details), '') <> '')::integer::float8 as has_details,
        ml.hashed_terms(r.summary, 32) as summary_terms,
        ml.hashed_terms(concat_ws(' ', r.description, r.details), 16) as long_terms
    where r.excluded is null
    offset 0
) as texts on true
order by r.moment, r.entity_id
