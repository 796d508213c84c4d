"""The shape of the rows, whatever the data is like."""

from __future__ import annotations

import bisect
import math
import statistics
from datetime import datetime, timedelta

import psycopg
import pytest

MODELS = ("complexity", "rework", "trajectory")
END = datetime(2026, 1, 1)

KEYS = {
    "client_id": "int4",
    "entity_id": "int8",
    "moment": "timestamp",
    "known_at": "timestamp",
    "label": "float8",
    "simple": "float8",
    "known_labels": "int4",
    "slice": "text",
    "excluded": "text",
}
FEATURES = {
    "complexity": [
        "history", "simple_level", "recent_level", "many_level", "ever_level", "mean_level", "recent_spread",
        "project_level", "type_level", "words_total", "words_high", "words_low", "type_story", "type_task", "type_bug",
        "summary_length", "summary_words", "description_length", "description_words", "has_description", "has_details",
        *[f"term_{at:02d}" for at in range(64)],
        *[f"text_{at:02d}" for at in range(32)],
    ],
    "trajectory": [
        "age_days", "age_log", "simple_level", "recent_level", "most_level", "children_known", "children_done",
        "share_done", "points_known", "done_14", "done_28", "throughput_28", "open_issues", "open_epics",
        "summary_length",
        *[f"term_{at:02d}" for at in range(8)],
    ],
    "rework": [
        "client_rate", "recent_rate", "size_rate", "author_pulls", "author_rate", "repository_pulls", "repository_rate",
        "days_since_previous", "additions", "deletions", "changed_files", "commits_before", "title_length",
        "title_words", "body_length", "opened_hour", "opened_weekday",
        *[f"term_{at:02d}" for at in range(16)],
    ],
}  # fmt: skip


def check(rows, model, *, scoring):
    """What holds of every result."""
    assert list(rows.columns) == [*KEYS, *FEATURES[model]]
    assert rows[["client_id", "entity_id", "slice"]].notna().all(axis=None)
    usable, out = rows[rows["excluded"].isna()], rows[rows["excluded"].notna()]
    assert (out["excluded"].str.len() > 3).all()
    for name in ("simple", "moment", "known_labels", *FEATURES[model]):
        assert usable[name].notna().all(), name
    for name in ("simple", *FEATURES[model]):
        assert all(math.isfinite(value) for value in usable[name]), name
    labels = usable[["known_at", "label"]]
    if scoring:
        assert labels.isna().all(axis=None)
    elif model == "trajectory":
        assert (labels["known_at"].isna() == labels["label"].isna()).all()
    else:
        assert labels.notna().all(axis=None)
    if model != "rework":
        assert (usable["simple"] > 0).all()
    else:
        assert usable["simple"].between(0, 1).all()
        assert scoring or set(usable["label"]) <= {0.0, 1.0}
    return usable, out


@pytest.mark.parametrize("client_id", [1, 2, 3])
@pytest.mark.parametrize("model", MODELS)
def test_every_row_is_whole_or_says_why_not(model, client_id, training, as_client, rows_of):
    rows = training(model, client_id)
    usable, out = check(rows, model, scoring=False)
    assert (usable["moment"] <= END).all() and (usable["known_at"].dropna() <= END).all()
    assert (rows["client_id"] == client_id).all()
    assert not usable.duplicated(["entity_id", "moment"]).any()
    if client_id == 1:
        assert len(usable) > 500 and len(out) > 20
    with as_client(client_id) as connection:
        scored = rows_of(connection, model, client_id, scoring=True)
    check(scored, model, scoring=True)
    assert (scored["moment"] == END).all() and scored["entity_id"].is_unique


@pytest.mark.parametrize("model", MODELS)
def test_columns_have_the_types_of_the_contract(model, as_client, statements):
    text, spec = statements[model]
    with as_client(3) as connection:
        asked = {"client_id": 3, "as_of": END, "scoring": False, "entity_ids": None}
        cursor = psycopg.ClientCursor(connection).execute(text, asked | spec)
        types = {column.name: psycopg.postgres.types[column.type_code].name for column in cursor.description}
    assert types == KEYS | dict.fromkeys(FEATURES[model], "float8")
    # Every value as text: no statement may lean on the type that a driver happens to send.
    words = {key: None if value is None else str(value) for key, value in (asked | spec).items()}
    with as_client(3) as connection:
        assert len(psycopg.ClientCursor(connection).execute(text, words).fetchall()) == cursor.rowcount > 0


@pytest.mark.parametrize("model", MODELS)
def test_a_second_run_is_the_same_to_the_last_bit(model, training, as_client, rows_of):
    """Whatever the session's settings, and whichever plan they bring."""
    with as_client(1) as connection:
        for name, value in {
            "timezone": "Asia/Tokyo",
            "intervalstyle": "sql_standard",
            "default_text_search_config": "pg_catalog.english",
            "work_mem": "256kB",
            "enable_hashagg": "off",
            "enable_hashjoin": "off",
            "from_collapse_limit": "1",
        }.items():
            connection.execute("select set_config(%s, %s, true)", [name, value])
        again = rows_of(connection, model, 1)
    assert again.equals(training(model, 1))


REASONS = {
    "complexity": {
        "inactive", "other type", "created later", "short summary", "no points", "zero points", "over the cap",
        "older than 18 months",
    },
    "trajectory": {"inactive", "created later", "discarded", "unclear status"},
    "rework": {
        "inactive", "not merged", "merged before opened", "older than 12 months", "reviews not counted", "no commit",
        "no file",
    },
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_reasons_name_the_first_filter(model, training):
    assert set(training(model, 1)["excluded"].dropna()) == REASONS[model]


@pytest.mark.parametrize("model", MODELS)
def test_settings_of_a_client_count(model, as_client, rows_of):
    narrower = {"complexity": {"cap": 3}, "trajectory": {"cap_days": 30}, "rework": {"max_review_cycles": 0}}[model]
    with as_client(1) as connection:
        shorter = rows_of(connection, model, 1, window_months=3)
        other = rows_of(connection, model, 1, **narrower)
    used = shorter[shorter["excluded"].isna()]
    used, other = used[used["label"].notna()], other[other["label"].notna() | other["excluded"].notna()]
    assert "older than 3 months" in set(shorter["excluded"])
    assert (used["known_at"] >= datetime(2025, 10, 1)).all()
    used = other[other["excluded"].isna()]
    if model == "complexity":
        assert used["label"].max() == 3
    elif model == "trajectory":
        assert used[used["age_days"] == 0]["label"].max() < 30 * 86400
        assert "over the cap" in set(other["excluded"])
    else:
        assert used["label"].mean() > 0.8


@pytest.mark.parametrize("model", MODELS)
def test_the_simple_answer_is_what_the_contract_says(model, training, as_client, rows_of):
    """The same figures, from the labels of the rows, in Python."""
    rows = training(model, 1)
    with as_client(1) as connection:
        everything = rows_of(connection, model, 1, window_months=1200)
    everything = everything[everything["excluded"].isna() & everything["label"].notna()]
    if model == "trajectory":
        everything = everything[everything["age_days"] == 0]
    everything = everything.sort_values(["known_at", "entity_id"])
    labels, known_at = everything["label"].tolist(), everything["known_at"].tolist()
    best = best_widths(model, labels, known_at, everything["moment"].tolist())
    usable = rows[rows["excluded"].isna()]
    young = usable[usable["known_labels"] < 20]
    for row in [*usable.sample(60, random_state=11).itertuples(index=False), *young.itertuples(index=False)]:
        known = everything[everything["known_at"] < row.moment]
        count = len(known)
        if model == "complexity":
            expected = drawn_to_prior(statistics.median(labels[: count or 1][-best[count] :]), count, 3.0, 1)
        elif model == "trajectory":
            age = row.age_days * 86400
            longer = [lead - age for lead in labels[:count][-200:] if lead > age][-best[count] :]
            expected = statistics.median(longer or labels[:count][-20:] or [0])
            expected = drawn_to_prior(expected, count, 2592000.0, 5)
        else:
            lines = [size_class(*both) for both in zip(known["additions"], known["deletions"], strict=True)]
            alike = [
                bad
                for bad, size in zip(labels[:count], lines, strict=True)
                if size == size_class(row.additions, row.deletions)
            ]
            rate = (sum(labels[:count]) + 5 * 0.25) / (count + 5)
            expected = (sum(alike) + 10 * rate) / (len(alike) + 10) if count else 0.25
        assert row.simple == pytest.approx(expected, rel=1e-9)


def best_widths(model, labels, known_at, moments):
    """By how many labels are known: of how many the median was best on the last labels, as they came."""
    if model == "rework":
        return []
    widths, prior, window = ([None, 50, 20], 3.0, 500) if model == "complexity" else ([200, 50, 20], 2592000.0, 200)
    errors = {width: [] for width in widths}
    for label, moment in zip(labels, moments, strict=True):
        known = labels[: bisect.bisect_left(known_at, moment)]
        for width in widths:
            forecast = statistics.median(known[-(width or len(known)) :]) if known else prior
            off = abs(label - forecast) if model == "complexity" else abs(math.log(label) - math.log(forecast))
            errors[width].append(off)
    found = [20]
    for count in range(1, len(labels) + 1):
        sums = {width: math.fsum(errors[width][max(0, count - window) : count]) for width in widths}
        # Of equal ones the one that rests on most; sums in another order differ in their last digits.
        least = min(sums.values())
        found.append(next(width for width in widths if sums[width] <= least + 1e-9 * max(least, 1)) or len(labels))
    return found


def drawn_to_prior(forecast, count, prior, labels):
    """The first twenty labels against so many of the prior's, fading, on the log scale."""
    if count == 0 or count >= 20:
        return forecast if count else prior
    weight = labels * (1 - count / 20)
    return math.expm1((count * math.log1p(forecast) + weight * math.log1p(prior)) / (count + weight))


def size_class(additions: float, deletions: float) -> int:
    """From the features, which are logs."""
    lines = round(math.expm1(additions)) + round(math.expm1(deletions))
    return sum(lines >= limit for limit in (10, 50, 250, 1000))


@pytest.mark.parametrize("model", MODELS)
def test_without_labels_the_simple_answer_is_the_prior(model, training, statements):
    rows = training(model, 3)
    first = rows[rows["excluded"].isna() & (rows["known_labels"] == 0)]
    assert len(first) and (first["simple"] == statements[model][1]["prior"]).all()


def test_scoring_asks_for_what_is_open(as_client, rows_of):
    with as_client(1) as connection:
        issues = rows_of(connection, "complexity", 1, scoring=True)["entity_id"].tolist()
        epics = rows_of(connection, "trajectory", 1, scoring=True)["entity_id"].tolist()
        pulls = rows_of(connection, "rework", 1, scoring=True)["entity_id"].tolist()
        found = connection.execute(
            "select count(*), bool_and(coalesce(story_points, 0) = 0), bool_and(issuetype in ('Story', 'Task', 'Bug')),"
            " bool_and(status_to not in ('Done', 'Discarded'))"
            " from ml.source_issues where id = any(%s)",
            [issues],
        ).fetchone()
        assert found == (len(issues), True, True, True) and len(issues) > 50
        found = connection.execute(
            "select count(*), bool_and(issuetype = 'Epic'), bool_and(status_to not in ('Done', 'Discarded'))"
            " from ml.source_issues where id = any(%s)",
            [epics],
        ).fetchone()
        assert found == (len(epics), True, True) and len(epics) > 10
        found = connection.execute(
            "select count(*), bool_and(status = 'open'), bool_and(merged_at is null and closed_at is null)"
            " from ml.source_pull_requests where id = any(%s)",
            [pulls],
        ).fetchone()
        assert found == (len(pulls), True, True) and len(pulls) > 10


def test_open_pull_requests_of_the_past_are_those_that_were_open(as_client, rows_of):
    then = END - timedelta(days=90)
    with as_client(1) as connection:
        rows = rows_of(connection, "rework", 1, scoring=True, as_of=then)
        found = connection.execute(
            "select count(*) from ml.source_pull_requests where client_id = 1 and active and created <= %(then)s"
            " and (merged_at is null or merged_at > %(then)s) and (closed_at is null or closed_at > %(then)s)",
            {"then": then},
        ).fetchone()
    usable, _ = check(rows, "rework", scoring=True)
    assert len(usable) == found[0] > 0


def test_entities_that_are_asked_for_are_answered_whatever_their_state(as_client, rows_of):
    with as_client(1) as connection:
        ids = {
            kind: found[0]
            for kind, found in connection.execute(
                "select issuetype, array[min(id), max(id)] from ml.source_issues where client_id = 1 group by issuetype"
            ).fetchall()
        }
        ids = {kind: [low] for kind, low in ids.items()}
        asked = [*ids["Story"], *ids["Epic"], 123_456_789]
        points = rows_of(connection, "complexity", 1, scoring=True, entity_ids=asked)
        ends = rows_of(connection, "trajectory", 1, scoring=True, entity_ids=asked)
        before = rows_of(connection, "trajectory", 1, scoring=True, as_of=datetime(2010, 1, 1), entity_ids=ids["Epic"])
    assert dict(zip(points["entity_id"], points["excluded"], strict=True)) == {
        ids["Story"][0]: None, ids["Epic"][0]: "other type",
    }  # fmt: skip
    assert dict(zip(ends["entity_id"], ends["excluded"], strict=True)) == {
        ids["Story"][0]: "other type", ids["Epic"][0]: None,
    }  # fmt: skip
    assert before["excluded"].tolist() == ["created later"]
