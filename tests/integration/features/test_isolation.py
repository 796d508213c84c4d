"""The statements' own filter. There is no row-level security on this server: only it keeps clients apart here."""

from __future__ import annotations

import pytest

MODELS = ("complexity", "rework", "trajectory")

# Client 2 gets all that client 1 has, and rows of its own that point at client 1's.
INTRUDE = """
insert into public.issues (
    client_id, external_id, key, project_id, summary, issuetype_id, status_id, story_points, created,
    work_last_completed_at, parent_external_id, custom_field_01, custom_field_05
)
select
    2, external_id, key, project_id, summary || ' CANARY', issuetype_id, status_id, 21, created - interval '1 hour',
    work_last_completed_at, parent_external_id, custom_field_01, custom_field_05
from public.issues
where client_id = 1;
insert into public.issue_changelogs (client_id, issue_id, from_status_id, to_status_id, transition_change_date)
select 2, issue_id, to_status_id, from_status_id, transition_change_date + interval '1 minute'
from public.issue_changelogs
where client_id = 1;
insert into public.pull_requests (
    client_id, repository_id, number, name, user_name, status, pr_created_at, closed_at, merged_at, commit_count,
    additions, deletions, changed_files, rework_commit_count, review_cycles
)
select
    2, repository_id, number, name || ' CANARY', user_name, status, pr_created_at - interval '1 hour', closed_at,
    merged_at, 9, 9, 9, 9, 9, 9
from public.pull_requests
where client_id = 1;
insert into public.pull_request_commits (client_id, pull_request_id, authored_date, committed_date)
select 2, pull_request_id, authored_date - interval '9 days', committed_date
from public.pull_request_commits
where client_id = 1;
"""


def test_rows_of_another_client_change_nothing(training, as_client, rows_of, in_script):
    with as_client(1, superuser=True) as connection:
        before = {model: rows_of(connection, model, 1, scoring=True) for model in MODELS}
        in_script(connection, INTRUDE)
        for model in MODELS:
            assert rows_of(connection, model, 1).equals(training(model, 1)), model
            assert rows_of(connection, model, 1, scoring=True).equals(before[model]), model
            theirs = rows_of(connection, model, 2)
            assert set(theirs["client_id"]) == {2}
            # The rows did arrive where they belong, without the names of client 1's projects and repositories.
            untouched = training(model, 2)
            assert not theirs.equals(untouched)
            assert set(theirs["slice"]) - {"none"} == set(untouched["slice"]) - {"none"}
            foreign = before[model]["entity_id"].tolist()
            assert foreign and rows_of(connection, model, 2, scoring=True, entity_ids=foreign).empty


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_says_whose_row_it_is(model, as_client, rows_of, statements):
    """`client_id` comes from the source's row: with the filter taken out, other clients' numbers show up."""
    text, spec = statements[model]
    sieve = "client_id = asked.client_id"
    assert sieve in text
    statements[model] = (text.replace(sieve, "client_id = any(array[1, 2])"), spec)
    try:
        with as_client(1, superuser=True) as connection:
            assert set(rows_of(connection, model, 1)["client_id"]) == {1, 2}
    finally:
        statements[model] = (text, spec)
