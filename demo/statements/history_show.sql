-- What has come up or changed for one client after one moment and up to another, as it stood then.
create temporary table changed_issues on commit drop as
select *
from history.issues
where
    client_id = %(client_id)s
    and created <= %(moment)s
    and (
        created > %(after)s
        or (work_first_committed_at > %(after)s and work_first_committed_at <= %(moment)s)
        or (work_first_started_at > %(after)s and work_first_started_at <= %(moment)s)
        or (work_last_completed_at > %(after)s and work_last_completed_at <= %(moment)s)
    );
update changed_issues
set
    work_first_committed_at = case when work_first_committed_at <= %(moment)s then work_first_committed_at end,
    work_first_started_at = case when work_first_started_at <= %(moment)s then work_first_started_at end,
    work_last_started_at = case when work_last_started_at <= %(moment)s then work_last_started_at end,
    work_first_completed_at = case when work_first_completed_at <= %(moment)s then work_first_completed_at end,
    updated = least(updated, %(moment)s),
    last_updated_at = least(last_updated_at, %(moment)s);
update changed_issues as i
set
    work_last_completed_at = null,
    total_lead_time_seconds = null,
    total_cycle_time_seconds = null,
    total_completions = 0,
    direct_completion = false,
    resolution = null,
    status_id = coalesce(
        (
            select min(s.id)
            from public.statuses as s
            where
                s.client_id = i.client_id
                and s.category = case when i.work_first_started_at is null then 'To Do' else 'In Progress' end
        ),
        (select min(s.id) from public.statuses as s where s.client_id = i.client_id and s.category <> 'Done'),
        i.status_id
    )
where work_last_completed_at > %(moment)s;
delete from public.issues as i using changed_issues as c where i.id = c.id;
insert into public.issues overriding system value table changed_issues;

insert into public.issue_changelogs overriding system value
select *
from history.issue_changelogs
where
    client_id = %(client_id)s
    and transition_change_date > %(after)s
    and transition_change_date <= %(moment)s;

insert into public.pull_request_commits overriding system value
select *
from history.pull_request_commits
where client_id = %(client_id)s and committed_date > %(after)s and committed_date <= %(moment)s;
insert into public.pull_request_reviews overriding system value
select *
from history.pull_request_reviews
where client_id = %(client_id)s and submitted_at > %(after)s and submitted_at <= %(moment)s;
insert into public.pull_request_comments overriding system value
select *
from history.pull_request_comments
where client_id = %(client_id)s and created_at_github > %(after)s and created_at_github <= %(moment)s;

create temporary table changed_pull_requests on commit drop as
select *
from history.pull_requests
where
    client_id = %(client_id)s
    and pr_created_at <= %(moment)s
    and (
        pr_created_at > %(after)s
        or (first_review_at > %(after)s and first_review_at <= %(moment)s)
        or (closed_at > %(after)s and closed_at <= %(moment)s)
        or (merged_at > %(after)s and merged_at <= %(moment)s)
    );
update changed_pull_requests as p
set
    status = 'open',
    merged_at = null,
    merged_by = null,
    closed_at = null,
    review_cycles = 0,
    rework_commit_count = 0,
    reviewers = 0,
    discussion_comment_count = null,
    review_comment_count = null,
    commit_count = (
        select count(*)
        from history.pull_request_commits as c
        where c.client_id = p.client_id and c.pull_request_id = p.id and c.committed_date <= %(moment)s
    )
where coalesce(closed_at, merged_at, 'infinity') > %(moment)s;
update changed_pull_requests
set
    first_review_at = case when first_review_at <= %(moment)s then first_review_at end,
    pr_updated_at = least(pr_updated_at, %(moment)s),
    last_updated_at = least(last_updated_at, %(moment)s);
delete from public.pull_requests as p using changed_pull_requests as c where p.id = c.id;
insert into public.pull_requests overriding system value table changed_pull_requests;
