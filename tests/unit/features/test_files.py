"""Rules that the text of every model's files keeps."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "sql" / "features"
MODELS = sorted(path.stem for path in FOLDER.glob("*.sql"))
CONTRACT = {"client_id", "as_of", "scoring", "entity_ids", "prior"}
KEYS = [
    "client_id", "entity_id", "moment", "known_at", "label", "simple", "known_labels", "slice", "excluded",
]  # fmt: skip
SPEC = {
    "title": str, "project_name": str, "version": int, "task": str, "entity": str, "unit": str, "algorithm": str,
    "prior": float, "test_size": float, "min_train_rows": int, "min_test_rows": int, "hyperparams": dict,
    "settings": dict, "bounds": dict, "grades": dict,
}  # fmt: skip
# What ends when a training row's label is known: as an input it would be the answer.
ONLY_AT_THE_END = {"comment_count", "assignee", "priority", "labels", "reviewers", "first_review_at", "updated"}


def text(model: str) -> str:
    return (FOLDER / f"{model}.sql").read_text(encoding="utf-8")


def code(model: str) -> str:
    """Without comments and without what stands in quotes."""
    return re.sub(r"'[^']*'", "''", re.sub(r"--[^\n]*", "", text(model)))


def spec(model: str) -> dict:
    return tomllib.loads((FOLDER / f"{model}.toml").read_text(encoding="utf-8"))


def columns(model: str) -> list[tuple[str, str]]:
    """Expression and name of the last select's columns."""
    sql = code(model)
    last = sql[sql.rindex("\n)\nselect\n") :].removeprefix("\n)\nselect\n")
    body = last[: last.index("\nfrom rows")]
    parts, depth, part = [], 0, ""
    for sign in body:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += sign
    parts.append(part.strip())
    found = []
    for one in parts:
        named = re.fullmatch(r"(.*?)(?:\s+as\s+|\.)([a-z_0-9]+)", one, re.DOTALL)
        assert named, one
        found.append((named[1], named[2]))
    return found


def test_there_are_the_three_models():
    assert {"complexity", "rework", "trajectory"} <= set(MODELS)
    assert MODELS == sorted(path.stem for path in FOLDER.glob("*.toml"))


@pytest.mark.parametrize("model", MODELS)
def test_time_and_chance_come_from_nowhere(model):
    banned = (
        r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|random|setseed|age)\s*\(|"
        r"\b(current_date|current_time|current_timestamp|localtime|localtimestamp|current_user|session_user)\b|"
        r"\b(current_setting|set_config)\b|\btimestamptz\b|\bat time zone\b|tablesample"
    )
    assert not re.findall(banned, code(model))
    # These words mean a moment only in quotes.
    assert not re.findall(r"'(now|today|yesterday|tomorrow)'", text(model))


@pytest.mark.parametrize("model", MODELS)
def test_parameters_are_the_contracts_and_the_settings(model):
    used = set(re.findall(r"%\(([a-z_]+)\)s", text(model)))
    settings = set(spec(model)["settings"])
    assert used == CONTRACT | settings
    assert not CONTRACT & settings
    # Each with its type, and no other use of the sign but doubled.
    assert not re.findall(
        r"%\([a-z_]+\)s(?!::(integer|bigint\[\]|float8|timestamp|boolean)\b|::bigint\[\])", text(model)
    )
    assert not re.findall(r"%(?![(%])", text(model).replace("%%", ""))


@pytest.mark.parametrize("model", MODELS)
def test_only_the_sources_are_read(model):
    sql = code(model)
    # extract() has a `from` of its own.
    for name in re.findall(r"\b(?<!epoch )(?<!hour )(?<!isodow )(?:from|join)\s+([a-z_]+\.[a-z_]+)", sql):
        assert name.startswith("ml.source_"), name
    assert set(re.findall(r"\b(ml\.[a-z_]+)\s*\(", sql)) <= {"ml.hashed_terms", "ml.running_medians"}
    assert "public." not in sql and "pgml." not in sql
    # As often as a source is read, it is filtered.
    sources = len(re.findall(r"\bml\.source_", sql))
    assert len(re.findall(r"\bclient_id = asked\.client_id\b", sql)) == sources > 0


@pytest.mark.parametrize("model", MODELS)
def test_it_is_one_select(model):
    assert ";" not in code(model)
    assert text(model).startswith("--") and text(model).endswith("\n")
    assert not re.search(r"\b(insert|update|delete|create|drop|set|lock|copy)\b", code(model))


@pytest.mark.parametrize("model", MODELS)
def test_columns_begin_with_the_contracts(model):
    names = [name for _, name in columns(model)]
    assert names[: len(KEYS)] == KEYS
    assert len(set(names)) == len(names) > len(KEYS) + 10
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) for name in names)
    # From the row, not from the parameter: what arrives can then be checked.
    assert columns(model)[0] == ("r", "client_id")


@pytest.mark.parametrize("model", MODELS)
def test_what_is_known_only_at_the_end_is_no_column_that_is_read(model):
    read = set(re.findall(r"\b[ipc]\.([a-z_]+)\b", code(model)))
    assert not read & ONLY_AT_THE_END
    features = " ".join(expression for expression, _ in columns(model)[len(KEYS) :])
    for name in (
        "commit_count",
        "review_cycles",
        "rework_commit_count",
        "status",
        "story_points",
        "merged_at",
        "completed",
    ):
        assert name not in features


@pytest.mark.parametrize("model", MODELS)
def test_aggregates_of_rows_say_their_order(model):
    for found in re.findall(r"array_agg\(([^()]*(?:\([^()]*\))?[^()]*)\)", code(model)):
        assert "order by" in found, found
    assert re.search(r"\border by r\.moment, r\.(entity_id|id)\n$", code(model))


@pytest.mark.parametrize("model", MODELS)
def test_specs_have_the_keys_of_the_contract(model):
    found = spec(model)
    assert {key: type(found.get(key)) for key in SPEC} == SPEC
    assert found["task"] in ("regression", "classification")
    assert found["entity"] in ("issue", "pull_request")
    assert 0 < found["test_size"] < 1
    assert re.fullmatch(r"[a-z][a-z_]*", found["project_name"])
    assert all(isinstance(value, (int, float)) for value in found["settings"].values())
    assert found["settings"]["window_months"] > 0
    limits = list(found["grades"].values())
    assert limits == sorted(limits)
    if found["task"] == "classification":
        assert limits[-1] == 1.0


def test_the_documents_hyperparameters_are_kept():
    kept = {model: (spec(model)["algorithm"], spec(model)["hyperparams"], spec(model)["test_size"]) for model in MODELS}
    # The document's engine is PostgresML, whose trees begin at 0.5.
    for model in ("complexity", "trajectory"):
        assert kept[model][1].pop("base_score") == 0.5
    assert kept["complexity"] == ("xgboost", {"n_estimators": 150, "max_depth": 5, "learning_rate": 0.05}, 0.25)
    assert kept["trajectory"] == (
        "xgboost",
        {"n_estimators": 100, "max_depth": 6, "learning_rate": 0.1, "subsample": 0.8},
        0.2,
    )
    assert kept["rework"] == ("lightgbm", {"num_leaves": 31, "learning_rate": 0.05, "feature_fraction": 0.9}, 0.3)
