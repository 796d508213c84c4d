"""The header of a check: what is read from it, what is refused in words; and the rules that the shipped checks keep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.foresight import checks, model_specs
from include.foresight.checks import CHECKS, Check
from include.foresight.errors import ConfigurationError

GOOD = """\
-- Points are not negative,
-- nor absurd.
-- severity: quarantine
-- entity: issue
-- thresholds: {"max_points": 100}
-- A word on the statement.
select 'issue' as entity, id as entity_id, 'many' as reason
from ml.source_issues
where client_id = %(client_id)s and story_points > %(max_points)s and key like 'A%%'
"""

SHIPPED = sorted(CHECKS.glob("*.sql"))
# Tables that no view stands for.
TABLES = {"public.issues", "public.projects", "public.issuetypes", "public.statuses", "public.repositories"}


def write(folder: Path, text: str, name: str = "some_check") -> Path:
    path = folder / f"{name}.sql"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_header_is_read(tmp_path: Path) -> None:
    assert checks.parse(write(tmp_path, GOOD)) == Check(
        name="some_check",
        reason="Points are not negative, nor absurd.",
        severity="quarantine",
        sql=GOOD,
        model=None,
        entity="issue",
        thresholds={"max_points": 100},
    )


def test_a_check_of_one_model_is_read(tmp_path: Path) -> None:
    text = "-- Why.\n-- severity: block\n-- model: rework\nselect true as passed, '' as observed, '' as threshold\n"
    check = checks.parse(write(tmp_path, text))
    assert (check.severity, check.model, check.entity, check.thresholds) == ("block", "rework", None, {})


REFUSED = [
    ("-- Points are not negative,\n-- nor absurd.\n", "", 1, "must begin with the reason"),
    ("-- severity: quarantine\n", "", 5, "must have a line '-- severity: block|warn|quarantine'"),
    ("severity: quarantine", "severity: fatal", 3, "severity must be one of block, warn, quarantine, got 'fatal'"),
    ("severity: quarantine", "severty: quarantine", 3, "'severty' is none of severity, model, entity, thresholds"),
    ("-- entity: issue\n", "-- severity: warn\n", 4, "'severity' is stated twice"),
    ("-- entity: issue\n", "", 3, "entity of a quarantine check must be one of issue, pull_request, got ''"),
    ("entity: issue", "entity: epic", 4, "must be one of issue, pull_request, got 'epic'"),
    ("severity: quarantine", "severity: warn", 4, "only a quarantine check has an entity, this one is 'warn'"),
    ("-- entity: issue", "-- model: rework\n-- entity: issue", 4, "a quarantine check has no model"),
    (
        "severity: quarantine\n-- entity: issue",
        "severity: warn\n-- model: A b",
        4,
        "model must be the name of one model",
    ),
    ('{"max_points": 100}', "{max_points: 100}", 5, "thresholds must be JSON"),
    ('{"max_points": 100}', "[100]", 5, "thresholds must be an object, got [100]"),
    ('{"max_points": 100}', '{"max_points": true}', 5, "'max_points' must be a number or a text, got True"),
    ('{"max_points": 100}', '{"max_points": null}', 5, "'max_points' must be a number or a text, got None"),
    ('"max_points": 100', '"max_points": 100, "as_of": 1', 5, "'as_of' cannot be the name of a threshold"),
    ('"max_points": 100', '"max_points": 100, "Max": 1', 5, "'Max' cannot be the name of a threshold"),
    ('"max_points": 100', '"max_points": 100, "other": 1', 5, "threshold 'other' is not in the statement"),
    (
        "%(client_id)s",
        "%(client)s",
        9,
        "%(client)s is neither given nor a threshold; known are client_id, as_of, predicted, max_po",
    ),
    ("'A%%'", "'A%'", 9, "a literal % must be doubled"),
    ("'A%%'", "'A' -- 5 % of them", 9, "a literal % must be doubled"),
    ("'A%%'", "'A%%';", 9, "one statement, without a semicolon"),
    (GOOD[GOOD.index("select") :], "", 7, "the statement is missing"),
]


@pytest.mark.parametrize(("before", "after", "line", "rule"), REFUSED)
def test_a_fault_is_named_with_its_file_and_line(tmp_path: Path, before: str, after: str, line: int, rule: str) -> None:
    assert before in GOOD
    with pytest.raises(ConfigurationError, match=re.escape(rule)) as caught:
        checks.parse(write(tmp_path, GOOD.replace(before, after)))
    assert str(caught.value).startswith(f"some_check.sql, line {line}: ")


@pytest.mark.parametrize("name", ["Points", "1st", "two-words", "a" * 64])
def test_a_name_is_an_identifier(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"got '{name}'"):
        checks.parse(write(tmp_path, GOOD, name))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="some_check.sql, line 1: the header must begin with the reason"):
        checks.parse(write(tmp_path, ""))


def test_a_client_has_thresholds_of_its_own(tmp_path: Path) -> None:
    check = checks.parse(write(tmp_path, GOOD))
    assert check.for_client({"max_points": 7.5}).thresholds == {"max_points": 7.5}
    assert check.thresholds == {"max_points": 100}


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        ({"max_point": 7}, "check 'some_check' has no threshold 'max_point': there is max_points"),
        ({"max_points": "7"}, "check 'some_check': threshold 'max_points' must be a number, got '7'"),
        ({"max_points": True}, "must be a number, got True"),
        ({"max_points": None}, "must be a number, got None"),
        ([7], "check 'some_check': overrides must be an object, got \\[7\\]"),
    ],
)
def test_other_thresholds_are_refused(tmp_path: Path, overrides: object, rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        checks.parse(write(tmp_path, GOOD)).for_client(overrides)


def test_overrides_name_checks_that_are_there() -> None:
    with pytest.raises(
        ConfigurationError, match="there is no check 'issue_point' to override: there are .*issue_points"
    ):
        checks.chosen({"issue_point": {"max_points": 7}})
    with pytest.raises(ConfigurationError, match="overrides of checks must be an object, got 3"):
        checks.chosen(3)
    of_name = {check.name: check for check in checks.chosen({"issue_points": {"max_points": 7}})}
    assert of_name["issue_points"].thresholds == {"max_points": 7}
    assert tuple(of_name) == checks.names()


def statement(path: Path) -> str:
    """The text without its comments."""
    return re.sub("--.*", "", path.read_text(encoding="utf-8"))


@pytest.fixture(params=SHIPPED, ids=lambda path: path.stem)
def shipped(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_document_s_kinds_of_checks_are_there() -> None:
    words = " ".join(checks.names())
    for kind in ("volume", "freshness", "summaries", "statuses", "points", "sizes", "labels", "duplicate", "orphaned"):
        assert kind in words
    assert {"issue_clock", "pull_request_clock", "issue_changelog_clock", "foreign_rows", "no_rows"} <= set(
        checks.names()
    )


def test_a_shipped_check_parses_and_concerns_a_model_that_is_there(shipped: Path) -> None:
    check = checks.parse(shipped)
    assert check.reason.endswith((".", ".)"))
    assert check.model is None or check.model in model_specs.names()


def test_a_shipped_check_has_no_clock_of_its_own(shipped: Path) -> None:
    forbidden = r"\bnow\b|current_(date|time|timestamp)|localtime|_timestamp\(|timeofday|random"
    assert not re.search(forbidden, statement(shipped))


def test_a_shipped_check_reads_views_and_few_tables(shipped: Path) -> None:
    text = statement(shipped)
    common = set(re.findall(r"^(\w+) as (?:not )?(?:materialized )?\($", text, re.MULTILINE))
    no_relations = {"generate_series", "jsonb_to_recordset", "lateral"}
    read = set(re.findall(r"\b(?:from|join)\s+([\w.]+)", text)) - common - no_relations
    assert read, "no relation was found: the pattern above is wrong"
    assert {one for one in read if not one.startswith("ml.source_")} <= TABLES
    # No other way of naming one: every schema that is written anywhere is one of the two, and read above.
    assert {one for one in re.findall(r"\b(?:ml|public|pg_catalog|pgml)\.\w+", text)} <= read


def test_a_shipped_check_filters_by_the_client(shipped: Path) -> None:
    """Every value is cast too: it may be sent as text."""
    text = statement(shipped)
    assert "%(client_id)s" in text
    assert not re.search(r"%\(\w+\)s(?!::)", text)


def test_the_shipped_checks_use_every_severity_and_entity() -> None:
    shipped = checks.read_all()
    assert {check.severity for check in shipped} == {"block", "warn", "quarantine"}
    assert {check.entity for check in shipped if check.severity == "quarantine"} == {"issue", "pull_request"}
