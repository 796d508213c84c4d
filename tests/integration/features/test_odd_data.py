"""Rows as they should not be, and clients that have next to none."""

from __future__ import annotations

import math
from uuid import uuid4

import pytest
from psycopg import sql

MODELS = ("complexity", "rework", "trajectory")

# Table, which of 25 rows, and what they are made to be.
NONSENSE = [
    ("issues", 1, "created = 'infinity'"),
    ("issues", 2, "created = '-infinity', work_last_completed_at = 'infinity'"),
    ("issues", 3, "created = '4713-01-01 00:00:00 bc', work_last_completed_at = '294276-12-31'"),
    ("issues", 4, "story_points = 2147483647"),
    ("issues", 5, "story_points = -2147483648"),
    ("issues", 6, "summary = repeat('x', 100000), custom_field_01 = repeat('word ', 20000)"),
    ("issues", 7, "custom_field_05 = '   '"),
    ("issues", 7, "summary = E'%s %(a)s '' \\\\ <a href=#> \\u0001 \\U0001F600\\n'"),
    ("issues", 8, "parent_external_id = external_id"),
    ("issues", 9, "issuetype_id = null, project_id = -1, status_id = null"),
    ("issues", 10, "external_id = '1', parent_external_id = '1'"),
    ("issues", 11, "work_last_completed_at = '-infinity'"),
    ("issue_changelogs", 1, "transition_change_date = 'infinity'"),
    ("issue_changelogs", 2, "transition_change_date = '-infinity', from_status_id = null"),
    ("issue_changelogs", 3, "to_status_id = null, issue_id = 0"),
    ("pull_requests", 1, "pr_created_at = 'infinity'"),
    ("pull_requests", 2, "pr_created_at = '-infinity', merged_at = 'infinity'"),
    ("pull_requests", 3, "additions = 2147483647, deletions = 2147483647"),
    ("pull_requests", 3, "changed_files = 2147483647"),
    ("pull_requests", 4, "additions = -2147483648, deletions = -5, changed_files = null"),
    ("pull_requests", 5, "name = repeat('y', 100000), body = '', user_name = ''"),
    ("pull_requests", 6, "repository_id = null, user_name = null, name = null, body = null"),
    ("pull_requests", 7, "merged_at = '-infinity'"),
    ("pull_requests", 8, "review_cycles = -1, rework_commit_count = 2147483647"),
    ("pull_requests", 9, "commit_count = -3"),
    ("pull_request_commits", 1, "authored_date = 'infinity'"),
    ("pull_request_commits", 2, "authored_date = null, committed_date = '-infinity'"),
]


def finite(rows) -> bool:
    usable = rows[rows["excluded"].isna()]
    features = usable.iloc[:, list(usable.columns).index("excluded") + 1 :]
    return all(value is not None and math.isfinite(value) for value in features.to_numpy().ravel())


def test_nonsense_raises_nothing(as_client, rows_of):
    client_id = 2  # the smaller one: its rows are rewritten many times over
    with as_client(client_id, superuser=True) as connection:
        for table, nth, values in NONSENSE:
            text = sql.SQL("update {table} set {values} where client_id = 2 and id % 25 = {nth}")
            parts = {"table": sql.Identifier("public", table), "values": sql.SQL(values), "nth": sql.Literal(nth)}
            connection.execute(text.format(**parts))
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
insert into public.issues (id, client_id, issuetype_id, status_id, summary, story_points, created,
    work_last_completed_at)
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
    usable = rows[rows["excluded"].isna() & rows["label"].notna()]
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
