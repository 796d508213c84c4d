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
        %(recent_labels)s::integer as recent_labels,
        %(many_labels)s::integer as many_labels,
        %(compared_labels)s::integer as compared_labels,
        %(enough_labels)s::float8 as enough_labels,
        %(prior_labels)s::float8 as prior_labels
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
-- The platform has no history of points: an issue counts as estimated from its creation on. `before`: how many labels were
-- known when it was created.
labels as materialized (
    select
        i.id,
        i.project,
        i.issuetype,
        left(i.summary, 500) as summary,
        i.story_points as label,
        i.created as known_at,
        row_number() over (order by i.created, i.id) as nth,
        rank() over (order by i.created) - 1 as before
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
-- The simple forecasts: medians of the last few labels, of more, of all, by how many labels are known.
forecasts as materialized (
    select
        ml.running_medians(found.labels, asked.recent_labels) as recent,
        ml.running_medians(found.labels, asked.many_labels) as many,
        ml.running_medians(found.labels, null) as ever
    from (select array_agg(l.label order by l.nth) as labels from labels as l) as found
    cross join asked
),
-- What each of them was off by on the labels that came after it, summed up.
errors as (
    select
        off.nth,
        off.label,
        off.known_at,
        sum(off.recent) over in_order as of_recent,
        sum(off.many) over in_order as of_many,
        sum(off.ever) over in_order as of_ever,
        sum(ln(1 + off.label)) over in_order as logs
    from (
        select
            l.nth,
            l.label,
            l.known_at,
            abs(l.label - coalesce(f.recent[l.before], asked.prior)) as recent,
            abs(l.label - coalesce(f.many[l.before], asked.prior)) as many,
            abs(l.label - coalesce(f.ever[l.before], asked.prior)) as ever
        from labels as l
        cross join asked
        cross join forecasts as f
        -- Or the sort below would carry the arrays of forecasts along with every row.
        offset 0
    ) as off
    window in_order as (order by off.nth rows unbounded preceding)
),
compared as (
    select
        e.nth,
        e.label,
        e.known_at,
        (
            e.logs - lag(e.logs, asked.many_labels, 0::float8) over in_order + ln(1 + asked.prior)
        ) / (least(e.nth, asked.many_labels) + 1) as level,
        e.of_recent - lag(e.of_recent, asked.compared_labels, 0::float8) over in_order as of_recent,
        e.of_many - lag(e.of_many, asked.compared_labels, 0::float8) over in_order as of_many,
        e.of_ever - lag(e.of_ever, asked.compared_labels, 0::float8) over in_order as of_ever
    from errors as e
    cross join asked
    window in_order as (order by e.nth)
),
-- The one that has been best lately answers next. The first few labels are drawn to the prior.
simple as (
    select
        best.nth,
        best.label,
        best.known_at,
        best.level,
        case
            when best.nth >= asked.enough_labels then best.forecast
            else
                exp(
                    (best.nth * ln(1 + best.forecast) + best.weight * ln(1 + asked.prior)) / (best.nth + best.weight)
                ) - 1
        end as forecast
    from (
        select
            c.nth,
            c.label,
            c.known_at,
            c.level,
            asked.prior_labels * (1 - c.nth / asked.enough_labels) as weight,
            case
                when c.of_ever <= c.of_many and c.of_ever <= c.of_recent then f.ever[c.nth]
                when c.of_many <= c.of_recent then f.many[c.nth]
                else f.recent[c.nth]
            end as forecast
        from compared as c
        cross join asked
        cross join forecasts as f
    ) as best
    cross join asked
),
of_client as materialized (
    select
        array_agg(s.label order by s.nth) as labels,
        array_agg(s.known_at order by s.nth) as times,
        array_agg(s.forecast order by s.nth) as simple,
        array_agg(s.level order by s.nth) as levels
    from simple as s
),
of_project as materialized (
    select
        project,
        array_agg(label order by nth) as labels,
        array_agg(known_at order by nth) as times
    from labels
    group by project
),
of_type as materialized (
    select
        issuetype,
        array_agg(label order by nth) as labels,
        array_agg(known_at order by nth) as times
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
),
-- What a word has said: how far the issues with it were above or below the level of their day, on the log scale.
words as materialized (
    select distinct
        r.entity_id,
        r.moment,
        btrim(one.word, '.,:;!?()[]{}"') as word
    from rows as r
    cross join lateral unnest(string_to_array(lower(left(r.summary, 500)), ' ')) as one (word)
    where r.excluded is null and btrim(one.word, '.,:;!?()[]{}"') <> ''
),
surprises as (
    select
        said.word,
        said.nth,
        said.known_at,
        sum(said.surprise) over (partition by said.word order by said.nth rows unbounded preceding) as surprise
    from (
        select distinct
            btrim(one.word, '.,:;!?()[]{}"') as word,
            of_label.nth,
            of_label.known_at,
            of_label.surprise
        from (
            select
                l.nth,
                l.known_at,
                l.summary,
                ln(1 + l.label) - coalesce(of_client.levels[l.before], ln(1 + asked.prior)) as surprise
            from labels as l
            cross join asked
            cross join of_client
            offset 0
        ) as of_label
        cross join lateral unnest(string_to_array(lower(of_label.summary), ' ')) as one (word)
        where btrim(one.word, '.,:;!?()[]{}"') in (select w.word from words as w)
    ) as said
),
of_word as materialized (
    select
        word,
        array_agg(known_at order by nth) as times,
        array_agg(surprise order by nth) as surprise
    from surprises
    group by word
),
said as materialized (
    select
        w.entity_id,
        sum(effect.size order by w.word collate "C") as total,
        greatest(max(effect.size), 0) as high,
        least(min(effect.size), 0) as low
    from words as w
    inner join of_word on of_word.word = w.word
    cross join lateral (
        select
            width_bucket(w.moment - interval '1 microsecond', of_word.times) as times
        offset 0
    ) as known
    cross join lateral (
        select coalesce(of_word.surprise[known.times], 0) / (known.times + 10) as size
        offset 0
    ) as effect
    group by w.entity_id
)
select
    r.client_id,
    r.entity_id,
    r.moment,
    case when not asked.scoring and r.excluded is null then r.created end as known_at,
    case when not asked.scoring and r.excluded is null then r.story_points end as label,
    recent.simple,
    known.labels as known_labels,
    r.project as slice,
    r.excluded,
    -- How well the client is known; beyond 100 it would only tell the date.
    ln(1 + least(known.labels, 100)) as history,
    ln(1 + recent.simple) as simple_level,
    ln(1 + recent.median) - ln(1 + recent.simple) as recent_level,
    ln(1 + recent.many) - ln(1 + recent.simple) as many_level,
    ln(1 + recent.ever) - ln(1 + recent.simple) as ever_level,
    recent.level - ln(1 + recent.simple) as mean_level,
    recent.spread as recent_spread,
    ln(1 + (known.in_project * coalesce(project.median, 0) + 5 * recent.simple) / (known.in_project + 5))
    - ln(1 + recent.simple) as project_level,
    ln(1 + (known.in_type * coalesce(type.median, 0) + 5 * recent.simple) / (known.in_type + 5))
    - ln(1 + recent.simple) as type_level,
    case when r.excluded is null then coalesce(said.total, 0) end as words_total,
    case when r.excluded is null then coalesce(said.high, 0) end as words_high,
    case when r.excluded is null then coalesce(said.low, 0) end as words_low,
    texts.type_story,
    texts.type_task,
    texts.type_bug,
    ln(1 + texts.summary_length) as summary_length,
    ln(1 + texts.summary_words) as summary_words,
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
    texts.summary_terms[33] as term_32,
    texts.summary_terms[34] as term_33,
    texts.summary_terms[35] as term_34,
    texts.summary_terms[36] as term_35,
    texts.summary_terms[37] as term_36,
    texts.summary_terms[38] as term_37,
    texts.summary_terms[39] as term_38,
    texts.summary_terms[40] as term_39,
    texts.summary_terms[41] as term_40,
    texts.summary_terms[42] as term_41,
    texts.summary_terms[43] as term_42,
    texts.summary_terms[44] as term_43,
    texts.summary_terms[45] as term_44,
    texts.summary_terms[46] as term_45,
    texts.summary_terms[47] as term_46,
    texts.summary_terms[48] as term_47,
    texts.summary_terms[49] as term_48,
    texts.summary_terms[50] as term_49,
    texts.summary_terms[51] as term_50,
    texts.summary_terms[52] as term_51,
    texts.summary_terms[53] as term_52,
    texts.summary_terms[54] as term_53,
    texts.summary_terms[55] as term_54,
    texts.summary_terms[56] as term_55,
    texts.summary_terms[57] as term_56,
    texts.summary_terms[58] as term_57,
    texts.summary_terms[59] as term_58,
    texts.summary_terms[60] as term_59,
    texts.summary_terms[61] as term_60,
    texts.summary_terms[62] as term_61,
    texts.summary_terms[63] as term_62,
    texts.summary_terms[64] as term_63,
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
    texts.long_terms[16] as text_15,
    texts.long_terms[17] as text_16,
    texts.long_terms[18] as text_17,
    texts.long_terms[19] as text_18,
    texts.long_terms[20] as text_19,
    texts.long_terms[21] as text_20,
    texts.long_terms[22] as text_21,
    texts.long_terms[23] as text_22,
    texts.long_terms[24] as text_23,
    texts.long_terms[25] as text_24,
    texts.long_terms[26] as text_25,
    texts.long_terms[27] as text_26,
    texts.long_terms[28] as text_27,
    texts.long_terms[29] as text_28,
    texts.long_terms[30] as text_29,
    texts.long_terms[31] as text_30,
    texts.long_terms[32] as text_31
from rows as r
cross join asked
cross join of_client
cross join forecasts
left join of_project on of_project.project = r.project
left join of_type on of_type.issuetype = r.issuetype
left join said on said.entity_id = r.entity_id
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
        coalesce(of_client.simple[known.labels], asked.prior) as simple,
        coalesce(forecasts.recent[known.labels], asked.prior) as median,
        coalesce(forecasts.many[known.labels], asked.prior) as many,
        coalesce(forecasts.ever[known.labels], asked.prior) as ever,
        coalesce(of_client.levels[known.labels], ln(1 + asked.prior)) as level,
        (
            select
                coalesce(
                    ln(1 + percentile_cont(0.75) within group (order by one.label))
                    - ln(1 + percentile_cont(0.25) within group (order by one.label)),
                    0
                )
            from unnest(of_client.labels[known.labels - asked.recent_labels + 1:known.labels]) as one (label)
        ) as spread
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
        ml.hashed_terms(r.summary, 64) as summary_terms,
        ml.hashed_terms(concat_ws(' ', r.description, r.details), 32) as long_terms
    where r.excluded is null
    offset 0
) as texts on true
order by r.moment, r.entity_id
