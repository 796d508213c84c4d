-- Counts of a pull request are never negative, never beyond all measure, and what was merged has a commit and a file.
-- severity: quarantine
-- entity: pull_request
-- thresholds: {"max_lines": 10000000, "max_files": 100000, "max_commits": 10000, "max_people": 10000}
select
    'pull_request' as entity,
    p.id as entity_id,
    string_agg(c.name || ' ' || c.value, ', ' order by c.name) as reason
from ml.source_pull_requests as p
cross join lateral (
    -- A count that is null was not counted, which is no error.
    values
        ('additions', p.additions, 0, %(max_lines)s::float8),
        ('deletions', p.deletions, 0, %(max_lines)s::float8),
        ('changed_files', p.changed_files, (p.merged_at is not null)::integer, %(max_files)s::float8),
        ('commit_count', p.commit_count, (p.merged_at is not null)::integer, %(max_commits)s::float8),
        ('rework_commit_count', p.rework_commit_count, 0, %(max_commits)s::float8),
        ('review_cycles', p.review_cycles, 0, %(max_people)s::float8),
        ('reviewers', p.reviewers, 0, %(max_people)s::float8)
) as c (name, value, lowest, highest)
where
    p.client_id = %(client_id)s::integer
    and p.active
    and (c.value < c.lowest or c.value > c.highest)
group by p.id
