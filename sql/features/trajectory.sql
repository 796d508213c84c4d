-- Seconds until an epic is done, asked at several of its ages: the rows that a model learns from, or the epics to
-- forecast. README.md has the contract.
with
asked as not materialized (
    select
        %(client_id)s::integer as client_id,
        %(as_of)s::timestamp as as_of,
        %(scoring)s::boolean as scoring,
        %(entity_ids)s::bigint[] as entity_ids,
        %(prior)s::float8 as prior,
        %(window_months)s::integer as window_months,
        %(cap_days)s::float8 as cap_days,
        %(recent_labels)s::integer as recent_labels,
        %(many_labels)s::integer as many_labels,
        %(most_labels)s::integer as most_labels,
        %(compared_labels)s::integer as compared_labels,
        %(enough_labels)s::float8 as enough_labels,
        %(prior_labels)s::float8 as prior_labels
),
ages (days) as (
    values (0), (7), (14), (28), (56), (112), (168), (252)
),
issues as materialized (
    select
        i.client_id,
        i.id,
        coalesce(i.project_key, 'none') as project,
        i.external_id,
        i.parent_external_id as parent,
        i.issuetype = 'Epic' is true as is_epic,
        i.active,
        i.status_to,
        i.status_category,
        i.story_points,
        case when i.issuetype = 'Epic' then i.summary end as summary,
        i.id in (select q.entity_id from quarantine as q where q.entity = 'issue') as quarantined,
        -- Arithmetic on moments outside these would raise.
        case when i.created between timestamp '1900-01-01' and timestamp '2200-01-01' then i.created end as created,
        case
            when i.work_last_completed_at between timestamp '1900-01-01' and timestamp '2200-01-01'
                then i.work_last_completed_at
        end as completed
    from ml.source_issues as i
    cross join asked
    where i.client_id = asked.client_id
),
epics as materialized (
    select
        i.*,
        extract(epoch from i.completed - i.created)::float8 as lead
    from issues as i
    where i.is_epic
),
labels as materialized (
    select
        e.id,
        e.created,
        e.lead,
        e.completed as known_at,
        row_number() over (order by e.completed, e.id) as nth
    from epics as e
    cross join asked
    where
        e.active
        and not e.quarantined
        and e.status_to = 'Done'
        and e.lead > 0
        and e.lead < asked.cap_days * 86400
        and e.completed < asked.as_of
),
of_labels as materialized (
    select
        array_agg(lead order by nth) as leads,
        array_agg(known_at order by nth) as times
    from labels
),
-- The simple forecasts of a new epic: medians of the last few, of more, of most, by how many are known.
forecasts as materialized (
    select
        ml.running_medians(of_labels.leads, asked.recent_labels) as recent,
        ml.running_medians(of_labels.leads, asked.many_labels) as many,
        ml.running_medians(of_labels.leads, asked.most_labels) as most
    from of_labels
    cross join asked
),
-- What each of them, made when the epic began, was off by when it was done: on the log scale, summed up.
errors as (
    select
        off.nth,
        off.lead,
        off.known_at,
        sum(off.recent) over in_order as of_recent,
        sum(off.many) over in_order as of_many,
        sum(off.most) over in_order as of_most
    from (
        select
            l.nth,
            l.lead,
            l.known_at,
            abs(ln(l.lead) - ln(coalesce(f.recent[begun.labels], asked.prior))) as recent,
            abs(ln(l.lead) - ln(coalesce(f.many[begun.labels], asked.prior))) as many,
            abs(ln(l.lead) - ln(coalesce(f.most[begun.labels], asked.prior))) as most
        from labels as l
        cross join asked
        cross join of_labels
        cross join forecasts as f
        cross join lateral (
            select width_bucket(l.created - interval '1 microsecond', of_labels.times) as labels
            offset 0
        ) as begun
        -- Or the sort below would carry the arrays along with every row.
        offset 0
    ) as off
    window in_order as (order by off.nth rows unbounded preceding)
),
compared as (
    select
        e.nth,
        e.lead,
        e.known_at,
        e.of_recent - lag(e.of_recent, asked.compared_labels, 0::float8) over in_order as of_recent,
        e.of_many - lag(e.of_many, asked.compared_labels, 0::float8) over in_order as of_many,
        e.of_most - lag(e.of_most, asked.compared_labels, 0::float8) over in_order as of_most
    from errors as e
    cross join asked
    window in_order as (order by e.nth)
),
-- `widths`: how many of the last labels have told most lately.
of_client as materialized (
    select
        array_agg(c.lead order by c.nth) as leads,
        array_agg(c.known_at order by c.nth) as times,
        array_agg(
            case
                when c.of_most <= c.of_many and c.of_most <= c.of_recent then asked.most_labels
                when c.of_many <= c.of_recent then asked.many_labels
                else asked.recent_labels
            end
            order by c.nth
        ) as widths
    from compared as c
    cross join asked
),
-- Where an issue stood is read off its moves, in order. The completion that the platform computed is one more move: it
-- changes nothing where the changelog has it, and stands in where there is no changelog.
moves as materialized (
    select
        l.issue_id,
        l.changed_at as at,
        0 as source,
        l.id,
        coalesce(l.to_step, l.to_category, '') as step
    from ml.source_issue_changelogs as l
    cross join asked
    where l.client_id = asked.client_id and l.active and l.changed_at between timestamp '1900-01-01' and asked.as_of
    union all
    select
        i.id,
        i.completed,
        1,
        i.id,
        'Done'
    from issues as i
    cross join asked
    where i.completed <= asked.as_of
),
steps as (
    select
        m.issue_id,
        i.parent,
        i.is_epic,
        -- Nothing is known of an issue before it is there.
        greatest(m.at, i.created) as at,
        (m.step = 'Done')::integer - lag((m.step = 'Done')::integer, 1, 0) over in_order as done,
        (m.step in ('Done', 'Discarded'))::integer
        - lag((m.step in ('Done', 'Discarded'))::integer, 1, 0) over in_order as closed
    from moves as m
    inner join issues as i on i.id = m.issue_id
    where i.active and i.created is not null
    window in_order as (partition by m.issue_id order by m.at, m.source, m.id)
),
events as materialized (
    select
        i.id as issue_id,
        i.parent,
        i.is_epic,
        i.created as at,
        1 as born,
        greatest(coalesce(i.story_points, 0), 0) as points,
        0 as done,
        0 as closed
    from issues as i
    cross join asked
    where i.active and i.created <= asked.as_of
    union all
    select
        s.issue_id,
        s.parent,
        s.is_epic,
        s.at,
        0,
        0,
        s.done,
        s.closed
    from steps as s
    cross join asked
    where (s.done <> 0 or s.closed <> 0) and s.at <= asked.as_of
),
-- Running totals. Of several events at one moment only the last total is ever read, so their order does not matter.
client_totals as (
    select
        e.at,
        sum(case when e.is_epic then 0 else e.born - e.closed end) over in_order as open_issues,
        sum(case when e.is_epic then e.born - e.closed else 0 end) over in_order as open_epics,
        sum(case when e.is_epic or e.done < 1 then 0 else 1 end) over in_order as finished,
        row_number() over in_order as nth
    from events as e
    window in_order as (order by e.at, e.issue_id rows unbounded preceding)
),
client_events as materialized (
    select
        array_agg(at order by nth) as times,
        array_agg(open_issues::float8 order by nth) as open_issues,
        array_agg(open_epics::float8 order by nth) as open_epics,
        array_agg(finished::float8 order by nth) as finished
    from client_totals
),
child_totals as (
    select
        e.parent,
        e.at,
        sum(e.born) over in_order as known,
        sum(e.points) over in_order as points,
        sum(e.done) over in_order as done,
        sum(case when e.done < 1 then 0 else 1 end) over in_order as finished,
        row_number() over in_order as nth
    from events as e
    where e.parent is not null
    window in_order as (partition by e.parent order by e.at, e.issue_id rows unbounded preceding)
),
child_events as materialized (
    select
        parent,
        array_agg(at order by nth) as times,
        array_agg(known::float8 order by nth) as known,
        array_agg(points order by nth) as points,
        array_agg(done::float8 order by nth) as done,
        array_agg(finished::float8 order by nth) as finished
    from child_totals
    group by parent
),
judged as materialized (
    select
        e.*,
        case
            when asked.scoring and asked.entity_ids is not null
                then
                    case
                        when not e.is_epic then 'other type'
                        when e.created is null then 'no creation date'
                        when e.created > asked.as_of then 'created later'
                    end
            when not e.active then 'inactive'
            when e.created is null then 'no creation date'
            when e.created > asked.as_of then 'created later'
            when e.quarantined then 'quarantined'
            when asked.scoring then null
            -- Open now, or as it was then. Its rows have features and no label: how long it takes is only known to be
            -- more than its age.
            when e.completed > asked.as_of then null
            when e.status_to = 'Done' and e.completed is null then 'no completion date'
            when e.status_to = 'Discarded' then 'discarded'
            when e.status_to = 'Done' is not true
                then case when e.status_category in ('Done', 'Discarded') or e.completed is not null then 'unclear status' end
            when not e.lead > 0 then 'done before created'
            when not e.lead < asked.cap_days * 86400 then 'over the cap'
            when e.completed < asked.as_of - make_interval(months => asked.window_months)
                then 'older than ' || asked.window_months || ' months'
        end as excluded
    from (
        select * from epics
        union all
        -- Whoever asks for another issue by its id is told that it is no epic.
        select
            i.*,
            null::float8
        from issues as i
        cross join asked
        where not i.is_epic and i.id = any(asked.entity_ids)
    ) as e
    cross join asked
    where
        (asked.entity_ids is null or e.id = any(asked.entity_ids))
        and (
            not asked.scoring
            or asked.entity_ids is not null
            or not coalesce(
                e.status_to in ('Done', 'Discarded') or e.status_category in ('Done', 'Discarded'), false
            )
        )
),
rows as materialized (
    select
        j.*,
        asked.as_of as moment
    from judged as j
    cross join asked
    where asked.scoring
    union all
    select
        j.*,
        j.created
    from judged as j
    cross join asked
    where not asked.scoring and j.excluded is not null
    union all
    select
        j.*,
        j.created + make_interval(days => ages.days)
    from judged as j
    cross join asked
    cross join ages
    where
        not asked.scoring
        and j.excluded is null
        and j.completed <= asked.as_of
        and j.created + make_interval(days => ages.days) < j.completed
    union all
    -- Epics that are still open: nothing is known of them but that they are.
    select
        j.*,
        j.created + make_interval(days => ages.days)
    from judged as j
    cross join asked
    cross join ages
    where
        not asked.scoring
        and j.excluded is null
        and (j.completed is null or j.completed > asked.as_of)
        and j.created + make_interval(days => ages.days) < asked.as_of
)
select
    r.client_id,
    r.id as entity_id,
    r.moment,
    case when not asked.scoring and r.excluded is null and r.completed <= asked.as_of then r.completed end as known_at,
    case
        when not asked.scoring and r.excluded is null and r.completed <= asked.as_of
            then extract(epoch from r.completed - r.moment)::float8
    end as label,
    simple.remaining as simple,
    known.labels as known_labels,
    r.project as slice,
    r.excluded,
    known.age / 86400 as age_days,
    ln(1 + known.age / 86400) as age_log,
    ln(1 + simple.remaining) as simple_level,
    ln(1 + recent.median) - ln(1 + simple.remaining) as recent_level,
    ln(1 + recent.most) - ln(1 + simple.remaining) as most_level,
    ln(1 + children.known) as children_known,
    ln(1 + children.done) as children_done,
    case when children.known > 0 then children.done / children.known else 0 end as share_done,
    ln(1 + children.points) as points_known,
    ln(1 + children.done_14) as done_14,
    ln(1 + children.done_28) as done_28,
    -- Relative, because the counts themselves grow with the client and so tell the date: of the epics begun last only
    -- the short ones are done, and a model that can tell the date learns that everything ends soon.
    ln((1 + client.throughput_28) / (1 + client.throughput_168 / 6)) as throughput_28,
    ln((1 + client.open_issues) / (1 + client.throughput_28)) as open_issues,
    ln((1 + client.open_epics) / (1 + client.throughput_28)) as open_epics,
    ln(1 + texts.summary_length) as summary_length,
    texts.summary_terms[1] as term_00,
    texts.summary_terms[2] as term_01,
    texts.summary_terms[3] as term_02,
    texts.summary_terms[4] as term_03,
    texts.summary_terms[5] as term_04,
    texts.summary_terms[6] as term_05,
    texts.summary_terms[7] as term_06,
    texts.summary_terms[8] as term_07
from rows as r
cross join asked
cross join of_client
cross join forecasts
cross join client_events
left join child_events on child_events.parent = r.external_id
-- `offset 0` keeps the planner from computing anything for excluded rows.
left join lateral (
    select
        extract(epoch from r.moment - r.created)::float8 as age,
        coalesce(width_bucket(r.moment - interval '1 microsecond', of_client.times), 0) as labels,
        width_bucket(r.moment, client_events.times) as client_now,
        width_bucket(r.moment - interval '28 days', client_events.times) as client_28,
        width_bucket(r.moment - interval '168 days', client_events.times) as client_168,
        width_bucket(r.moment, child_events.times) as children_now,
        width_bucket(r.moment - interval '14 days', child_events.times) as children_14,
        width_bucket(r.moment - interval '28 days', child_events.times) as children_28
    where r.excluded is null
    offset 0
) as known on true
left join lateral (
    select
        coalesce(client_events.open_issues[known.client_now], 0) as open_issues,
        coalesce(client_events.open_epics[known.client_now], 0) as open_epics,
        coalesce(client_events.finished[known.client_now], 0)
        - coalesce(client_events.finished[known.client_28], 0) as throughput_28,
        coalesce(client_events.finished[known.client_now], 0)
        - coalesce(client_events.finished[known.client_168], 0) as throughput_168
    where r.excluded is null
    offset 0
) as client on true
left join lateral (
    select
        coalesce(child_events.known[known.children_now], 0) as known,
        coalesce(child_events.points[known.children_now], 0) as points,
        coalesce(child_events.done[known.children_now], 0) as done,
        coalesce(child_events.finished[known.children_now], 0)
        - coalesce(child_events.finished[known.children_14], 0) as done_14,
        coalesce(child_events.finished[known.children_now], 0)
        - coalesce(child_events.finished[known.children_28], 0) as done_28
    where r.excluded is null
    offset 0
) as children on true
left join lateral (
    select
        coalesce(forecasts.recent[known.labels], asked.prior) as median,
        coalesce(forecasts.most[known.labels], asked.prior) as most,
        coalesce(of_client.widths[known.labels], asked.recent_labels) as width
    where r.excluded is null
    offset 0
) as recent on true
-- What the last ones that lived longer than this one still had before them; they are looked for among the last many.
left join lateral (
    select coalesce(found.remaining, recent.median) as remaining
    from (
        select percentile_cont(0.5) within group (order by survivors.lead - known.age) as remaining
        from (
            select one.lead
            from unnest(of_client.leads[known.labels - asked.most_labels + 1:known.labels])
                with ordinality as one (lead, nth)
            where one.lead > known.age
            order by one.nth desc
            limit recent.width
        ) as survivors
    ) as found
    where r.excluded is null
    offset 0
) as left_over on true
-- The first few labels are drawn to the prior.
left join lateral (
    select
        case
            when known.labels = 0 then asked.prior
            when known.labels >= asked.enough_labels then left_over.remaining
            else
                exp(
                    (known.labels * ln(1 + left_over.remaining) + weight.prior * ln(1 + asked.prior))
                    / (known.labels + weight.prior)
                ) - 1
        end as remaining
    from (select asked.prior_labels * (1 - known.labels / asked.enough_labels) as prior) as weight
    where r.excluded is null
    offset 0
) as simple on true
left join lateral (
    select
        coalesce(length(r.summary), 0)::float8 as summary_length,
        ml.hashed_terms(r.summary, 8) as summary_terms
    where r.excluded is null
    offset 0
) as texts on true
order by r.moment, r.id
