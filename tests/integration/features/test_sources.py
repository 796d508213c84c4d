"""The mapping views and the hashing of words."""

from __future__ import annotations

import hashlib
import random
import statistics

import pytest
from psycopg import sql

ORPHANS = """
insert into public.issues (id, client_id, project_id, issuetype_id, status_id, summary, custom_field_01,
    custom_field_05)
values
    (990001, 1, 999999, 999999, 999999, 'An orphan', 'What', 'How'),
    (
        990002, 1,
        (select min(id) from public.projects where client_id = 2),
        (select min(id) from public.issuetypes where client_id = 2),
        (select min(id) from public.statuses where client_id = 2),
        'With ids of another client', null, null
    );
insert into public.pull_requests (id, client_id, repository_id, name, status, state, merged_at)
values
    (990001, 1, (select min(id) from public.repositories where client_id = 2), 'a', null, 'OPEN', null),
    (990002, 1, null, 'b', 'Closed', 'open', null),
    (990003, 1, null, 'c', 'closed', 'closed', '2025-01-01'),
    (990004, 1, null, 'd', null, null, null);
"""


def test_orphans_keep_their_rows_and_borrow_no_names(as_client, in_script):
    with as_client(1, superuser=True) as connection:
        in_script(connection, ORPHANS)
        issues = connection.execute(
            "select id, project_key, issuetype, hierarchy_level, status_to, status_category, description, details"
            " from ml.source_issues where id > 990000 order by id"
        ).fetchall()
        pulls = connection.execute(
            "select id, repository, status from ml.source_pull_requests where id > 990000 order by id"
        ).fetchall()
    assert issues == [
        (990001, None, None, None, None, None, "What", "How"),
        (990002, None, None, None, None, None, None, None),
    ]
    assert pulls == [
        (990001, None, "open"),
        (990002, None, "closed"),
        (990003, None, "merged"),
        (990004, None, None),
    ]


@pytest.mark.parametrize(
    ("view", "table"),
    [
        ("source_issues", "issues"),
        ("source_issue_changelogs", "issue_changelogs"),
        ("source_pull_requests", "pull_requests"),
        ("source_pull_request_commits", "pull_request_commits"),
        ("source_pull_request_reviews", "pull_request_reviews"),
    ],
)
def test_views_have_a_row_for_every_row_and_look_as_their_reader(view, table, as_client):
    with as_client(1) as connection:
        text = sql.SQL("select (select count(*) from {view}), (select count(*) from {table})")
        parts = {"view": sql.Identifier("ml", view), "table": sql.Identifier("public", table)}
        counts = connection.execute(text.format(**parts)).fetchone()
        options = connection.execute(
            "select reloptions from pg_class where oid = %s::regclass", [f"ml.{view}"]
        ).fetchone()
        assert counts[0] == counts[1] > 0
        assert options[0] == ["security_invoker=true"]


def test_names_stand_in_for_ids(as_client):
    with as_client(1) as connection:
        steps = connection.execute(
            "select distinct to_step from ml.source_issue_changelogs where client_id = 1 order by 1"
        ).fetchall()
        row = connection.execute(
            "select project_key, status_to, status_category from ml.source_issues"
            " where client_id = 1 and issuetype = 'Epic' and work_last_completed_at is not null"
            " and project_key is not null order by id limit 1"
        ).fetchone()
    assert [step for (step,) in steps] == ["Backlog", "Committed", "Discarded", "Done", "In Progress", "Review"]
    assert row[0] in ("NWL", "APP", "OPS") and row[1:] == ("Done", "Done")


MAPPED = """
insert into public.issuetype_mappings (id, issuetype_from, issuetype_to, client_id)
values
    (990001, 'Historia', 'Story', 1),
    (990002, 'Tarea', ' ', 1),
    (990003, 'Fallo', 'Bug', 2);
insert into public.issuetypes (id, original_name, hierarchy_level, issuetype_mapping_id, client_id)
values (990001, 'Historia', 0, 990001, 1), (990002, 'Tarea', 0, 990002, 1), (990003, 'Fallo', 0, 990003, 1);
insert into public.issues (id, client_id, issuetype_id) select id, 1, id from public.issuetypes where id > 990000;
"""


def test_types_have_the_names_that_the_platform_maps_them_to(as_client, in_script):
    """An empty mapping, and another client's, count for nothing."""
    with as_client(1, superuser=True) as connection:
        in_script(connection, MAPPED)
        found = connection.execute("select issuetype from ml.source_issues where id > 990000 order by id").fetchall()
    assert found == [("Story",), ("Tarea",), ("Fallo",)]


def bucketed(words: set[str], buckets: int) -> list[float]:
    counts = [0.0] * buckets
    for word in words:
        counts[hashlib.sha256(word.encode()).digest()[0] % buckets] += 1
    return counts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, set()),
        ("", set()),
        ("  \n\t ", set()),
        ("Add the export, add the EXPORT", {"add", "the", "export"}),
        ("Исправить накладную на складе", {"исправить", "накладную", "на", "складе"}),
        ("word " * 10_000 + "late", {"word"}),
    ],
)
@pytest.mark.parametrize("buckets", [1, 8, 32])
def test_words_are_counted_in_buckets(text, words, buckets, as_client):
    with as_client(1) as connection:
        found = connection.execute("select ml.hashed_terms(%s, %s)", [text, buckets]).fetchone()
    assert found[0] == bucketed(words, buckets)


@pytest.mark.parametrize("width", [None, 1, 2, 20, 1000])
@pytest.mark.parametrize("many", [1, 2, 3, 200])
@pytest.mark.parametrize("steps", [4, 10_000])
def test_medians_of_what_has_come_so_far(width, many, steps, as_client):
    chance = random.Random(f"{width} {many} {steps}")
    values = [float(chance.randint(1, steps)) for _ in range(many)]
    with as_client(1) as connection:
        found = connection.execute("select ml.running_medians(%s, %s)", [values, width]).fetchone()[0]
        assert connection.execute("select ml.running_medians(null, %s)", [width]).fetchone()[0] == []
    expected = [statistics.median(values[: k + 1][-(width or many) :]) for k in range(many)]
    assert found == pytest.approx(expected, rel=1e-15)
