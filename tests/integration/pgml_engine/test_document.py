"""The design document's three trainings as it wrote them, client id filled in, on the platform's own tables. Only its
double quotes around the filter, which SQL reads as a name, have become dollar quotes."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import demo
from tests.integration.pgml_engine.conftest import install

TRAJECTORY = """
SELECT pgml.train(
    project_name => 'project_trajectory_forecast_client_1_v1',  -- Client-specific model name
    task => 'regression',
    relation_name => 'issues',
    y_column_name => 'total_lead_time_seconds',
    algorithm => 'xgboost',
    hyperparams => '{
        "n_estimators": 100,
        "max_depth": 6,
        "learning_rate": 0.1,
        "subsample": 0.8
    }',
    test_sampling => 'random',
    test_size => 0.2,
    -- CRITICAL: Filter by client_id for tenant isolation
    filter => $$
        client_id = 1  -- MUST be client-specific
        AND issuetype_id IN (
            SELECT id FROM issuetypes
            WHERE original_name = 'Epic' AND active = true AND client_id = 1
        )
        AND status_id IN (
            SELECT s.id FROM statuses s
            JOIN status_mappings sm ON s.status_mapping_id = sm.id
            WHERE sm.status_to = 'Done' AND s.active = true
        )
        AND total_lead_time_seconds > 0
        AND total_lead_time_seconds < 31536000  -- Less than 1 year
        AND work_last_completed_at >= NOW() - INTERVAL '2 years'
        AND active = true
    $$
);
"""

COMPLEXITY = """
SELECT pgml.train(
    project_name => 'issue_complexity_estimator_client_1_v1',  -- Client-specific model name
    task => 'regression',
    relation_name => 'issues',
    y_column_name => 'story_points',
    algorithm => 'xgboost',
    hyperparams => '{
        "n_estimators": 150,
        "max_depth": 5,
        "learning_rate": 0.05
    }',
    -- Use text features from summary and custom fields
    preprocess_params => '{
        "text_columns": {
            "summary": {"imputer": "constant", "value": ""},
            "custom_field_01": {"imputer": "constant", "value": ""},
            "custom_field_05": {"imputer": "constant", "value": ""}
        }
    }',
    test_sampling => 'random',
    test_size => 0.25,
    -- CRITICAL: Filter by client_id for tenant isolation
    filter => $$
        client_id = 1  -- MUST be client-specific
        AND story_points IS NOT NULL
        AND story_points > 0
        AND story_points <= 21  -- Reasonable story point range
        AND issuetype_id IN (
            SELECT id FROM issuetypes
            WHERE original_name IN ('Story', 'Task', 'Bug')
            AND active = true AND client_id = 1
        )
        AND summary IS NOT NULL
        AND LENGTH(summary) > 10
        AND created >= NOW() - INTERVAL '18 months'
        AND active = true
    $$
);
"""

REWORK = """
CREATE OR REPLACE VIEW pr_rework_training_data AS
SELECT
    pr.*,
    -- Derive rework indicator from existing fields
    CASE
        WHEN pr.review_cycles > 2 OR pr.rework_commit_count > 3 THEN true
        ELSE false
    END as rework_indicator
FROM pull_requests pr
WHERE pr.merged_at IS NOT NULL  -- Only completed PRs
    AND pr.review_cycles IS NOT NULL
    AND pr.rework_commit_count IS NOT NULL
    AND pr.active = true;

SELECT pgml.train(
    project_name => 'pr_rework_classifier_client_1_v1',  -- Client-specific model name
    task => 'classification',
    relation_name => 'pr_rework_training_data',
    y_column_name => 'rework_indicator',
    algorithm => 'lightgbm',
    hyperparams => '{
        "num_leaves": 31,
        "learning_rate": 0.05,
        "feature_fraction": 0.9
    }',
    test_sampling => 'random',
    test_size => 0.3,
    -- CRITICAL: Filter by client_id for tenant isolation
    filter => $$
        client_id = 1  -- MUST be client-specific
        AND merged_at >= NOW() - INTERVAL '12 months'
        AND commit_count > 0
        AND changed_files > 0
    $$
);
"""


@pytest.fixture(scope="module")
def platform(engine_db):
    """The platform's tables with generated data, and pgml, in a database of their own."""
    with psycopg.connect(engine_db, autocommit=True) as admin:
        admin.execute("create database documented")
    place = make_conninfo(engine_db, dbname="documented")
    demo.create_platform(place)
    demo.load_generated(place, seed=5)
    with psycopg.connect(place) as connection:
        install(connection)
    with psycopg.connect(place, autocommit=True) as connection:
        yield connection


def newest(connection, *columns):
    return connection.execute(f"select {', '.join(columns)} from pgml.models order by id desc limit 1").fetchone()


def samples(connection):
    return connection.execute(
        "select (analysis ->> 'samples')::int, relation_name from pgml.snapshots order by id desc limit 1"
    ).fetchone()


def features(connection):
    data = connection.execute(
        "select data from pgml.files where path = 'encoding.json' order by id desc limit 1"
    ).fetchone()[0]
    return {each["name"]: each["kind"] for each in json.loads(data)["inputs"]}


def test_the_trajectory_forecaster(platform):
    messages = []
    platform.add_notice_handler(lambda diagnostic: messages.append(diagnostic.message_primary))
    platform.execute(TRAJECTORY)
    metrics, width = newest(platform, "metrics", "num_features")
    expected = platform.execute(
        "select count(*) from issues where client_id = 1 and active and total_lead_time_seconds > 0 "
        "and total_lead_time_seconds < 31536000 and work_last_completed_at >= now() - interval '2 years' "
        "and issuetype_id in (select id from issuetypes where original_name = 'Epic' and active and client_id = 1) "
        "and status_id in (select s.id from statuses as s join status_mappings as m on s.status_mapping_id = m.id "
        "where m.status_to = 'Done' and s.active)"
    ).fetchone()[0]
    assert samples(platform) == (expected, "issues") and metrics["r2"] is not None
    # Times are no features, and the message says which were left out.
    used = features(platform)
    assert "work_last_completed_at" not in used and used["story_points"] == "number" and width == len(used)
    assert "left out by their types: created, updated, work_first_committed_at" in messages[-1]
    row = platform.execute(
        "select pgml.predict('project_trajectory_forecast_client_1_v1', i) from issues as i where client_id = 1 limit 1"
    ).fetchone()
    assert row[0] > 0


def test_the_complexity_estimator(platform):
    platform.execute(COMPLEXITY)
    metrics, width = newest(platform, "metrics", "num_features")
    used = features(platform)
    assert width == len(used) - 3 + 3 * 64 and used["summary"] == "text" and metrics["mean_absolute_error"] < 5
    options = platform.execute("select options from pgml.snapshot_options order by snapshot_id desc limit 1").fetchone()
    assert options[0]["text_columns"] == {"summary": "", "custom_field_01": "", "custom_field_05": ""}
    assert "client_id = 1" in options[0]["filter"]
    rows = samples(platform)
    # Without a relation all of it is repeated.
    platform.execute("select pgml.train('issue_complexity_estimator_client_1_v1', algorithm => 'lightgbm')")
    assert newest(platform, "num_features") == (width,) and samples(platform) == rows


def test_the_rework_classifier(platform):
    platform.execute(REWORK)
    metrics, _ = newest(platform, "metrics", "num_features")
    # The label follows from two of the columns: as the document has it.
    assert metrics["accuracy"] > 0.95
    found = platform.execute(
        "select rework_indicator::text, pgml.predict_label('pr_rework_classifier_client_1_v1', p) "
        "from pr_rework_training_data as p where client_id = 1 limit 20"
    ).fetchall()
    assert sum(actual == predicted for actual, predicted in found) >= 19


def test_an_algorithm_that_takes_no_missing_value_has_the_median(platform):
    call = (
        "select pgml.train('by a line', 'regression', 'issues', 'story_points', 'ridge', "
        "filter => 'client_id = 1 and story_points > 0 and assignee_id is not null')"
    )
    platform.execute(call)
    assert newest(platform, "metrics ->> 'r2'")[0] is not None
    with pytest.raises(psycopg.errors.DatatypeMismatch, match="is of type timestamp"):
        platform.execute("select pgml.train('as it is', 'regression', 'issues', 'story_points', 'ridge')")
    with pytest.raises(psycopg.errors.DataException, match="has no rows that match the filter"):
        platform.execute(call.replace("client_id = 1", "client_id = -1"))


def test_a_copy_of_what_the_filter_chose(platform):
    platform.execute(
        "select pgml.train('copied', 'regression', 'issues', 'story_points', 'xgboost', "
        "filter => 'client_id = 1 and story_points > 3', materialize_snapshot => true)"
    )
    snapshot = platform.execute("select max(id) from pgml.snapshots").fetchone()[0]
    found = platform.execute(
        f"select count(*), min(client_id), max(client_id), min(story_points) from pgml.snapshot_{snapshot}"
    )
    rows, lowest, highest, points = found.fetchone()
    assert (rows, lowest, highest) == (samples(platform)[0], 1, 1) and points > 3
    platform.execute("select pgml.train('copied', algorithm => 'lightgbm')")
    assert platform.execute("select max(id) from pgml.snapshots").fetchone() == (snapshot,)
