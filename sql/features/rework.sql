-- Whether a pull request will need rework, asked when it opens: the rows that a model learns from, or the pull requests
-- to score. README.md has the contract.
with
asked as not materialized (
    select
        %(client_id)s::integer as client_id,
        %(as_of)s::timestamp as as_of,
        %(scoring)s::boolean as scoring,
        %(entity_ids)s::bigint[] as entity_ids,
        %(prior)s::float8 as prior,
        %(window_months)s::integer as window_months,
        %(max_review_cycles)s::float8 as max_review_cycles,
        %(max_rework_commits)s::float8 as max_rework_commits,
        %(recent_labels)s::integer as recent_labels
),
pulls as not materialized (
    select
        p.client_id,
        p.id,
        coalesce(p.repository, 'none') as repository,
        p.author,
        p.title,
        p.body,
        p.status,
        p.active,
        p.commit_count,
        p.review_cycles,
        p.rework_commit_count,
        -- The size at the end stands in for the size at opening, of which the platform has no history.
        greatest(coalesce(p.additions, 0), 0) as additions,
        greatest(coalesce(p.deletions, 0), 0) as deletions,
        greatest(coalesce(p.changed_files, 0), 0) as changed_files,
        width_bucket(
            greatest(coalesce(p.additions, 0), 0) + greatest(coalesce(p.deletions, 0), 0),
            array[10, 50, 250, 1000]::float8[]
        ) as size,
        p.id in (select q.entity_id from quarantine as q where q.entity = 'pull_request') as quarantined,
        -- Arithmetic on moments outside these would raise.
        case when p.created between timestamp '1900-01-01' and timestamp '2200-01-01' then p.created end as created,
        p.merged_at,
        p.closed_at
    from ml.source_pull_requests as p
    cross join asked
    where p.client_id = asked.client_id
),
labels as materialized (
    select
        p.id,
        p.repository,
        p.author,
        p.size,
        p.merged_at as known_at,
        (p.review_cycles > asked.max_review_cycles or p.rework_commit_count > asked.max_rework_commits)::integer as bad
    from pulls as p
    cross join asked
    where
        p.active
        and not p.quarantined
        and p.merged_at >= p.created
        and p.merged_at < asked.as_of
        and p.review_cycles is not null
        and p.rework_commit_count is not null
        and p.commit_count > 0
        and p.changed_files > 0
),
running as materialized (
    select
        l.*,
        row_number() over (order by l.known_at, l.id) as nth,
        sum(l.bad) over (order by l.known_at, l.id) as bad_of_client,
        sum(l.bad) over (partition by l.repository order by l.known_at, l.id) as bad_of_repository,
        sum(l.bad) over (partition by l.author order by l.known_at, l.id) as bad_of_author,
        sum(l.bad) over (partition by l.size order by l.known_at, l.id) as bad_of_size
    from labels as l
),
of_client as materialized (
    select
        array_agg(known_at order by nth) as times,
        array_agg(bad_of_client::float8 order by nth) as bad
    from running
),
of_repository as materialized (
    select
        repository,
        array_agg(known_at order by nth) as times,
        array_agg(bad_of_repository::float8 order by nth) as bad
    from running
    group by repository
),
of_author as materialized (
    select
        author,
        array_agg(known_at order by nth) as times,
        array_agg(bad_of_author::float8 order by nth) as bad
    from running
    group by author
),
of_size as materialized (
    select
        size,
        array_agg(known_at order by nth) as times,
        array_agg(bad_of_size::float8 order by nth) as bad
    from running
    group by size
),
opened_by as materialized (
    select
        p.author,
        array_agg(p.created order by p.created) as times
    from pulls as p
    cross join asked
    where p.author is not null and p.created <= asked.as_of
    group by p.author
),
commits as materialized (
    select
        c.pull_request_id,
        array_agg(c.authored_at order by c.authored_at) as times
    from ml.source_pull_request_commits as c
    cross join asked
    where
        c.client_id = asked.client_id
        and c.active
        and c.authored_at is not null
        and (asked.entity_ids is null or c.pull_request_id = any(asked.entity_ids))
    group by c.pull_request_id
),
rows as materialized (
    select
        p.*,
        width_bucket(p.created, c.times) as commits_before,
        case when asked.scoring then asked.as_of else p.created end as moment,
        case
            when asked.scoring and asked.entity_ids is not null
                then
                    case
                        when p.created is null then 'no opening date'
                        when p.created > asked.as_of then 'opened later'
                    end
            when not p.active then 'inactive'
            when p.created is null then 'no opening date'
            when p.created > asked.as_of then 'opened later'
            when p.quarantined then 'quarantined'
            when asked.scoring then null
            when p.merged_at is null or p.merged_at > asked.as_of then 'not merged'
            when p.merged_at < p.created then 'merged before opened'
            when p.merged_at < asked.as_of - make_interval(months => asked.window_months)
                then 'older than ' || asked.window_months || ' months'
            when p.review_cycles is null or p.rework_commit_count is null then 'reviews not counted'
            when not coalesce(p.commit_count, 0) > 0 then 'no commit'
            when not p.changed_files > 0 then 'no file'
        end as excluded
    from pulls as p
    cross join asked
    left join commits as c on c.pull_request_id = p.id
    where
        (asked.entity_ids is null or p.id = any(asked.entity_ids))
        and (
            not asked.scoring
            or asked.entity_ids is not null
            -- Open at that moment: now, or as it was before it was closed.
            or (
                coalesce(p.merged_at > asked.as_of, true)
                and coalesce(p.closed_at > asked.as_of, true)
                and (p.status = 'open' or p.merged_at > asked.as_of or p.closed_at > asked.as_of)
            )
        )
)
select
    r.client_id,
    r.id as entity_id,
    r.moment,
    case when not asked.scoring and r.excluded is null then r.merged_at end as known_at,
    case
        when not asked.scoring and r.excluded is null
            then
                (r.review_cycles > asked.max_review_cycles or r.rework_commit_count > asked.max_rework_commits)
                    ::integer::float8
    end as label,
    case
        when known.labels = 0 then asked.prior
        else (counts.bad_of_size + 10 * rates.of_client) / (known.of_size + 10)
    end as simple,
    known.labels as known_labels,
    r.repository as slice,
    r.excluded,
    rates.of_client as client_rate,
    (counts.bad_recently + 5 * rates.of_client) / (least(known.labels, asked.recent_labels) + 5) as recent_rate,
    (counts.bad_of_size + 10 * rates.of_client) / (known.of_size + 10) as size_rate,
    -- How well somebody is known; beyond 50 it would only tell the date.
    ln(1 + least(known.of_author, 50)) as author_pulls,
    (counts.bad_of_author + 5 * rates.of_client) / (known.of_author + 5) as author_rate,
    ln(1 + least(known.of_repository, 50)) as repository_pulls,
    (counts.bad_of_repository + 5 * rates.of_client) / (known.of_repository + 5) as repository_rate,
    own.days_since_previous,
    own.additions,
    own.deletions,
    own.changed_files,
    own.commits_before,
    own.title_length,
    own.title_words,
    own.body_length,
    own.opened_hour,
    own.opened_weekday,
    own.title_terms[1] as term_00,
    own.title_terms[2] as term_01,
    own.title_terms[3] as term_02,
    own.title_terms[4] as term_03,
    own.title_terms[5] as term_04,
    own.title_terms[6] as term_05,
    own.title_terms[7] as term_06,
    own.title_terms[8] as term_07,
    own.title_terms[9] as term_08,
    own.title_terms[10] as term_09,
    own.title_terms[11] as term_10,
    own.title_terms[12] as term_11,
    own.title_terms[13] as term_12,
    own.title_terms[14] as term_13,
    own.title_terms[15] as term_14,
    own.title_terms[16] as term_15
from rows as r
cross join asked
cross join of_client
left join of_repository on of_repository.repository = r.repository
left join of_author on of_author.author = r.author
left join of_size on of_size.size = r.size
left join opened_by on opened_by.author = r.author
-- `offset 0` keeps the planner from computing anything for excluded rows.
left join lateral (
    select
        coalesce(width_bucket(r.moment - interval '1 microsecond', of_client.times), 0) as labels,
        coalesce(width_bucket(r.moment - interval '1 microsecond', of_repository.times), 0) as of_repository,
        coalesce(width_bucket(r.moment - interval '1 microsecond', of_author.times), 0) as of_author,
        coalesce(width_bucket(r.moment - interval '1 microsecond', of_size.times), 0) as of_size
    where r.excluded is null
    offset 0
) as known on true
left join lateral (
    select
        coalesce(of_client.bad[known.labels], 0) as bad,
        coalesce(of_client.bad[known.labels], 0)
        - coalesce(of_client.bad[known.labels - asked.recent_labels], 0) as bad_recently,
        coalesce(of_repository.bad[known.of_repository], 0) as bad_of_repository,
        coalesce(of_author.bad[known.of_author], 0) as bad_of_author,
        coalesce(of_size.bad[known.of_size], 0) as bad_of_size
    where r.excluded is null
    offset 0
) as counts on true
left join lateral (
    select (counts.bad + 5 * asked.prior) / (known.labels + 5) as of_client
    where r.excluded is null
    offset 0
) as rates on true
left join lateral (
    select
        -- 90 days and more, and a first one, are the same: whoever opens it has been away.
        coalesce(
            least(
                extract(
                    epoch from r.created
                    - opened_by.times[width_bucket(r.created - interval '1 microsecond', opened_by.times)]
                )::float8 / 86400,
                90
            ),
            90
        ) as days_since_previous,
        ln(1 + r.additions) as additions,
        ln(1 + r.deletions) as deletions,
        ln(1 + r.changed_files) as changed_files,
        ln(1 + coalesce(r.commits_before, 0)) as commits_before,
        ln(1 + coalesce(length(r.title), 0)) as title_length,
        case
            when coalesce(btrim(r.title), '') = '' then 0
            else 1 + length(btrim(r.title)) - length(replace(btrim(r.title), ' ', ''))
        end::float8 as title_words,
        ln(1 + coalesce(length(r.body), 0)) as body_length,
        extract(hour from r.created)::float8 as opened_hour,
        extract(isodow from r.created)::float8 as opened_weekday,
        ml.hashed_terms(r.title, 16) as title_terms
    where r.excluded is null
    offset 0
) as own on true
order by r.moment, r.id
