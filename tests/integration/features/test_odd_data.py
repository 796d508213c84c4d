"""Rows as they should not be, and clients that have next to none."""

from __future__ import annotations

import math
from uuid import uuid4

import pytest

MODELS = ("complexity", "rework", "trajectory")

# Every 25th row gets one kind of nonsense.
NONSENSE = """
update public.issues set created = 'infinity' where id %% 25 = 1;
update public.issues set created = '-infinity', work_last_completed_at = 'infinity' where id %% 25 = 2;
update public.issues set created = '4713-01-01 00:00:00 bc', work_last_completed_at = '294276-12-31' where id %% 25 = 3;
update public.issues set story_points = 2147483647 where id %% 25 = 4;
update public.issues set story_points = -2147483648 where id %% 25 = 5;
update public.issues set summary = repeat('x', 100000), custom_field_01 = repeat('word ', 20000) where id %% 25 = 6;
update public.issues set summary = E'%%s %%(a)s '' \\\\ <a href=#> \\u0001 \\U0001F600\\n', custom_field_05 = '   ' where id %% 25 = 7;
update public.issues set parent_external_id = external_id where id %% 25 = 8;
update public.issues set issuetype_id = null, project_id = -1, status_id = null where id %% 25 = 9;
update public.issues set external_id = '1', parent_external_id = '1' where id %% 25 = 10;
update public.issues set work_last_completed_at = '-infinity' where id %% 25 = 11;
update public.issue_changelogs set transition_change_date = 'infinity' where id %% 25 = 1;
update public.issue_changelogs set transition_change_date = '-infinity', from_status_id = null where id %% 25 = 2;
update public.issue_changelogs set to_status_id = null, issue_id = 0 where id %% 25 = 3;
update public.pull_requests set pr_created_at = 'infinity' where id %% 25 = 1;
update public.pull_requests set pr_created_at = '-infinity', merged_at = 'infinity' where id %% 25 = 2;
update public.pull_requests set additions = 2147483647, deletions = 2147483647, changed_files = 2147483647 where id %% 25 = 3;
update public.pull_requests set additions = -2147483648, deletions = -5, changed_files = null where id %% 25 = 4;
update public.pull_requests set name = repeat('y', 100000), body = '', user_name = '' where id %% 25 = 5;
update public.pull_requests set repository_id = null, user_name = null, name = null, body = null where id %% 25 = 6;
update public.pull_requests set merged_at = '-infinity' where id %% 25 = 7;
update public.pull_requests set review_cycles = -1, rework_commit_count = 2147483647, commit_count = -3 where id %% 25 = 8;
update public.pull_request_commits set authored_date = 'infinity' where id %% 25 = 1;
update public.pull_request_commits set authored_date = null, committed_date = '-infinity' where id %% 25 = 2;
"""


def finite(rows) -> bool:
    usable = rows[rows["excluded"].isna()]
    features = usable.iloc[:, list(usable.columns).index("excluded") + 1 :]
    return all(value is not None and math.isfinite(value) for value in features.to_numpy().ravel())


@pytest.mark.parametrize("client_id", [1, 2])
def test_nonsense_raises_nothing(client_id, as_client, rows_of, in_script):
    with as_client(client_id, superuser=True) as connection:
        in_script(connection, NONSENSE)
        for model in MODELS:
            training, scoring = (
                rows_of(connection, model, client_id),
                rows_of(connection, model, client_id, scoring=True),
            )
            asked = rows_of(
                connection, model, client_id, scoring=True, entity_ids=training["entity_id"].unique().tolist()
            )
            assert finite(training) and finite(scoring) and finite(asked)
            assert (training["excluded"].isna()).sum() > 100
            assert asked["entity_id"].is_unique and len(asked) == training["entity_id"].nunique()
            no_date = {"rework": "no opening date"}.get(model, "no creation date")
            assert no_date in set(training["excluded"]) and no_date in set(scoring["excluded"]) | set(asked["excluded"])


def test_a_client_without_rows_has_no_rows(as_client, rows_of):
    with as_client(1) as connection:
        for model in MODELS:
            assert rows_of(connection, model, 99).empty
            assert rows_of(connection, model, 99, scoring=True).empty
            assert rows_of(connection, model, 99, scoring=True, entity_ids=[1, 2, 3]).empty
            assert rows_of(connection, model, 1, scoring=True, entity_ids=[]).empty


EMPTY_ROWS = """
insert into public.issuetypes (id, original_name, hierarchy_level, client_id) values (990001, 'Epic', 1, 99);
insert into public.issues (id, client_id) values (990001, 99), (990002, 99);
insert into public.issues (id, client_id, issuetype_id) values (990003, 99, 990001);
insert into public.pull_requests (id, client_id) values (990001, 99), (990002, 99);
insert into public.issue_changelogs (issue_id, client_id, transition_change_date) values (990001, 99, '2025-01-01');
insert into public.pull_request_commits (pull_request_id, client_id) values (990001, 99);
"""


def test_rows_without_any_value_are_excluded(as_client, rows_of, in_script):
    with as_client(1, superuser=True) as connection:
        in_script(connection, EMPTY_ROWS)
        for model, count in {"complexity": 3, "rework": 2, "trajectory": 1}.items():
            rows = rows_of(connection, model, 99)
            assert len(rows) == count and rows["excluded"].notna().all()
            asked = rows_of(connection, model, 99, scoring=True, entity_ids=rows["entity_id"].tolist())
            assert len(asked) == count and asked["excluded"].notna().all()
            rows_of(connection, model, 99, scoring=True)


ONE_ROW = """
insert into public.issuetypes (id, original_name, hierarchy_level, client_id)
values (990001, 'Epic', 1, 99), (990002, 'Story', 0, 99);
insert into public.status_mappings (id, status_from, status_to, status_category, client_id)
values (990001, 'Fin', 'Done', 'Done', 99);
insert into public.statuses (id, original_name, status_mapping_id, category, client_id)
values (990001, 'Fin', 990001, 'Done', 99);
insert into public.issues (id, client_id, issuetype_id, status_id, summary, story_points, created, work_last_completed_at)
values
    (990001, 99, 990001, 990001, null, null, '2025-12-01', '2025-12-05'),
    (990002, 99, 990002, 990001, 'A single story', 5, '2025-12-01', '2025-12-03');
insert into public.pull_requests (
    id, client_id, pr_created_at, merged_at, review_cycles, rework_commit_count, commit_count, changed_files
) values (990001, 99, '2025-12-01', '2025-12-02', 3, 0, 1, 1);
"""


def test_a_client_with_one_row_has_that_row(as_client, rows_of, in_script, statements):
    with as_client(1, superuser=True) as connection:
        in_script(connection, ONE_ROW)
        for model, label in {"complexity": 5.0, "rework": 1.0, "trajectory": 4 * 86400.0}.items():
            rows = rows_of(connection, model, 99)
            rows = rows[rows["excluded"].isna()]
            assert len(rows) == 1 and finite(rows)
            row = rows.iloc[0]
            assert (row["label"], row["known_labels"], row["slice"]) == (label, 0, "none")
            assert row["simple"] == statements[model][1]["prior"]
            later = rows_of(connection, model, 99, scoring=True, entity_ids=[row["entity_id"]]).iloc[0]
            assert later["known_labels"] == 1 and later["excluded"] is None


@pytest.mark.parametrize(
    ("model", "entity"), [("complexity", "issue"), ("rework", "pull_request"), ("trajectory", "issue")]
)
def test_what_is_set_aside_is_neither_learned_from_nor_remembered(model, entity, training, as_client, rows_of):
    rows = training(model, 1)
    usable = rows[rows["excluded"].isna()]
    first = usable.sort_values("known_at").iloc[0]
    later = usable[usable["moment"] > first["known_at"]].iloc[-1]
    with as_client(1) as connection:
        connection.execute(
            "insert into quarantine values (%s, %s, 'a_check', 'for this test', %s, '2026-01-01')",
            [entity, first["entity_id"], uuid4()],
        )
        # The other kind's entity of the same number is another one.
        connection.execute(
            "insert into quarantine values (%s, %s, 'a_check', 'for this test', %s, '2026-01-01')",
            [{"issue": "pull_request", "pull_request": "issue"}[entity], later["entity_id"], uuid4()],
        )
        without = rows_of(connection, model, 1)
    assert set(without[without["entity_id"] == first["entity_id"]]["excluded"]) == {"quarantined"}
    same = without[(without["entity_id"] == later["entity_id"]) & (without["moment"] == later["moment"])].iloc[0]
    assert same["excluded"] is None and same["known_labels"] == later["known_labels"] - 1
