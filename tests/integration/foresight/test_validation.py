"""Checks on real databases: the platform plants each fault on the primary, the client finds it on the replica."""

from __future__ import annotations

import datetime
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from include.foresight import checks, clients, runs
from include.foresight.database import Databases
from include.foresight.errors import ConfigurationError
from include.foresight.runs import Request, Run
from include.foresight.validation import CheckResult, blocked_models, validate
from tests.support.installation import Installation

AS_OF = datetime.datetime(2025, 6, 1)
MODELS = ("complexity", "rework", "trajectory")
NO_SUCH_ID = 999_999_999


def ago(days: float) -> datetime.datetime:
    return AS_OF - datetime.timedelta(days=days)


@dataclass
class Tenant:
    """A client with a project, types, statuses and a repository. Its rows are good but for what is said."""

    installed: Installation
    client_id: int
    name: str
    slug: str
    number: int = 0
    project: int = 0
    repository: int = 0
    types: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)

    def furnish(self) -> None:
        mine = {"client_id": self.client_id}
        [self.project] = self.installed.insert("projects", {"key": "K", "name": "K", **mine})
        [self.repository] = self.installed.insert("repositories", {"name": "r", "full_name": "k/r", **mine})
        names = ("Story", "Task", "Bug", "Epic")
        found = [{"original_name": name, "hierarchy_level": int(name == "Epic"), **mine} for name in names]
        self.types = dict(zip(names, self.installed.insert("issuetypes", found), strict=True))
        steps = ("To Do", "Done")
        mappings = self.installed.insert(
            "status_mappings",
            [{"status_from": step, "status_to": step, "status_category": step, **mine} for step in steps],
        )
        found = [
            {"original_name": step, "status_mapping_id": mapping, "category": step, **mine}
            for step, mapping in zip(steps, mappings, strict=True)
        ]
        self.statuses = dict(zip(steps, self.installed.insert("statuses", found), strict=True))

    def issue_row(self, **other: Any) -> dict[str, Any]:
        """An open, estimated story, unless told otherwise; `type` and `status` by name."""
        self.number += 1
        kind, status = other.pop("type", "Story"), other.pop("status", "To Do")
        created = other.pop("created", ago(5))
        return {
            "key": f"K-{self.number}",
            "external_id": str(self.number),
            "project_id": self.project,
            "issuetype_id": self.types.get(kind),
            "status_id": self.statuses.get(status),
            "summary": "A summary that says enough",
            "story_points": 1 + self.number % 5,
            "created": created,
            "updated": None,
            "work_last_completed_at": None,
            "client_id": self.client_id,
            "active": True,
            "last_updated_at": ago(1),
        } | other

    def pull_request_row(self, **other: Any) -> dict[str, Any]:
        """Merged, counted, and every fourth needed rework."""
        self.number += 1
        created = other.pop("pr_created_at", ago(5))
        return {
            "number": self.number,
            "name": "A title",
            "user_name": "someone",
            "repository_id": self.repository,
            "issue_id": None,
            "status": "merged",
            "pr_created_at": created,
            "merged_at": created and created + datetime.timedelta(days=1),
            "closed_at": created and created + datetime.timedelta(days=1),
            "commit_count": 2,
            "additions": 10,
            "deletions": 1,
            "changed_files": 1,
            "reviewers": 1,
            "review_cycles": 1 if self.number % 4 else 3,
            "rework_commit_count": 0,
            "client_id": self.client_id,
            "active": True,
            "last_updated_at": ago(1),
        } | other

    def issue(self, **other: Any) -> int:
        return self.installed.insert("issues", self.issue_row(**other))[0]

    def pull_request(self, **other: Any) -> int:
        return self.installed.insert("pull_requests", self.pull_request_row(**other))[0]

    def issues(self, count: int, **other: Any) -> list[int]:
        return self.installed.insert("issues", [self.issue_row(**other) for _ in range(count)])

    def pull_requests(self, count: int, **other: Any) -> list[int]:
        return self.installed.insert("pull_requests", [self.pull_request_row(**other) for _ in range(count)])

    def move(self, issue: int, at: datetime.datetime, **other: Any) -> None:
        moved = {
            "issue_id": issue,
            "from_status_id": self.statuses["To Do"],
            "to_status_id": self.statuses["Done"],
            "transition_change_date": at,
            "client_id": self.client_id,
        }
        self.installed.insert("issue_changelogs", moved | other)

    def rename(self, kind: str, name: str) -> None:
        """As the client calls this type of issue."""
        with psycopg.connect(self.installed.platform) as connection:
            connection.execute("update issuetypes set original_name = %s where id = %s", [name, self.types[kind]])

    def run(self, dag_run_id: str = "night", moment: datetime.datetime = AS_OF, **request: Any) -> Run:
        with self.installed.databases.primary() as primary:
            with primary.as_fleet() as fleet:
                client = clients.read(fleet, self.slug)
            asked = Request(**request)
            return runs.open_run(primary, client, dag_run_id, asked, as_of=moment, fingerprint="", state="prepared")

    def validate(
        self, dag_run_id: str = "night", moment: datetime.datetime = AS_OF, **request: Any
    ) -> dict[str, CheckResult]:
        self.installed.catch_up()
        results = validate(self.installed.databases, self.run(dag_run_id, moment, **request), MODELS)
        return {result.check_name: result for result in results}

    def quarantined(self) -> dict[tuple[str, int], str]:
        """(entity, id) → the checks that have set it aside, as the client's role reads it."""
        return {
            row[:2]: row[2] for row in self.kept("entity, entity_id, string_agg(check_name, ' ' order by check_name)")
        }

    def kept(self, columns: str) -> list[tuple]:
        query = f"select {columns} from ml_client_{self.client_id}.quarantine group by entity, entity_id"
        return self.installed.rows(self.installed.replica, query)


@dataclass(frozen=True)
class Spoiled:
    tenant: Tenant
    bad: list[int]
    results: dict[str, CheckResult]
    quarantined: dict[tuple[str, int], str]
    reasons: dict[tuple[str, int], str]


NewTenant = Callable[..., Tenant]


def new_tenant(installed: Installation, client_id: int, name: str, **registry: Any) -> Tenant:
    """`name` gets the id, for no two clients of the platform's have the same."""
    made = Tenant(installed, client_id, f"{name} {client_id}", f"client_{client_id}")
    installed.add_client(client_id, made.name, **registry)
    made.furnish()
    return made


@pytest.fixture
def tenant(installed: Installation, client_ids: Iterator[int]) -> NewTenant:
    def make(name: str = "Client", **registry: Any) -> Tenant:
        return new_tenant(installed, next(client_ids), name, **registry)

    return make


def failed(results: dict[str, CheckResult]) -> set[str]:
    return {name for name, result in results.items() if not result.passed}


def test_clean_data_passes_every_check(tenant: NewTenant) -> None:
    one = tenant()
    days = range(1, 241, 2)
    one.installed.insert("issues", [one.issue_row(created=ago(day)) for day in days])
    one.installed.insert("pull_requests", [one.pull_request_row(pr_created_at=ago(day + 1)) for day in days])
    for nth in range(12):
        one.issue(type="Epic", status="Done", created=ago(200), work_last_completed_at=ago(100 - nth))
    issue = one.issue(status="Done", created=ago(9), work_last_completed_at=ago(3))
    one.move(issue, ago(3))

    results = one.validate()

    assert failed(results) == set(), [result.reason for result in results.values() if not result.passed]
    assert set(results) == set(checks.names())
    assert one.quarantined() == {}
    assert blocked_models(results.values(), MODELS) == {}
    assert results["issue_volume"].observed == "16 new issues in the last 30 days, usually 15"
    assert results["issue_points"].observed == "no rows"


INFINITY = "infinity"

# check, entity, what is wrong with the row, what is said of it
BAD_ROWS = [
    ("issue_points", "issue", {"story_points": -3}, "-3 story points"),
    ("issue_points", "issue", {"story_points": 6765}, "6765 story points"),
    ("pull_request_sizes", "pull_request", {"additions": -1}, "additions -1"),
    ("pull_request_sizes", "pull_request", {"commit_count": 0}, "commit_count 0"),
    ("pull_request_sizes", "pull_request", {"changed_files": 0}, "changed_files 0"),
    ("pull_request_sizes", "pull_request", {"changed_files": 2_000_000_000}, "changed_files 2000000000"),
    ("pull_request_sizes", "pull_request", {"review_cycles": -2, "deletions": -7}, "deletions -7, review_cycles -2"),
    ("undated_issues", "issue", {"created": None}, "no date of creation"),
    ("undated_pull_requests", "pull_request", {"pr_created_at": None}, "no date of opening"),
    ("duplicate_issue_keys", "issue", {"key": "K-1"}, "key K-1 is also that of issue "),
    (
        "duplicate_pull_request_numbers",
        "pull_request",
        {"number": 2},
        "number 2 of its repository is also that of pull",
    ),
    ("orphaned_issues", "issue", {"project_id": NO_SUCH_ID}, "project 999999999 is not there"),
    ("orphaned_issues", "issue", {"issuetype_id": NO_SUCH_ID}, "issue type 999999999 is not there"),
    (
        "orphaned_issues",
        "issue",
        {"status_id": NO_SUCH_ID, "project_id": NO_SUCH_ID},
        "project 999999999 is not there, status 999999999 is not there",
    ),
    ("orphaned_pull_requests", "pull_request", {"repository_id": NO_SUCH_ID}, "repository 999999999 is not there"),
    (
        "issue_clock",
        "issue",
        {"created": datetime.datetime(1970, 1, 1)},
        "created 1970-01-01 00:00:00, before 1995-01-01",
    ),
    (
        "issue_clock",
        "issue",
        {"created": AS_OF + datetime.timedelta(days=40)},
        "created 2025-07-11 00:00:00, in the fut",
    ),
    ("issue_clock", "issue", {"created": INFINITY}, "created infinity, in the future"),
    (
        "issue_clock",
        "issue",
        {"created": datetime.datetime(9999, 1, 1), "last_updated_at": INFINITY, "work_last_completed_at": ago(3)},
        "created 9999-01-01 00:00:00, in the future",
    ),
    (
        "issue_clock",
        "issue",
        {"created": ago(5), "work_last_completed_at": ago(6)},
        "completed 2025-05-26 00:00:00, before its creation 2025-05-27 00:00:00",
    ),
    ("issue_clock", "issue", {"work_last_completed_at": INFINITY}, "completed infinity, in the future"),
    (
        "pull_request_clock",
        "pull_request",
        {"merged_at": ago(6)},
        "merged 2025-05-26 00:00:00, before its opening 2025-05-27 00:00:00",
    ),
    ("pull_request_clock", "pull_request", {"closed_at": ago(6)}, "closed 2025-05-26 00:00:00, before its opening"),
    ("pull_request_clock", "pull_request", {"merged_at": INFINITY}, "merged infinity, in the future"),
    (
        "pull_request_clock",
        "pull_request",
        {"pr_created_at": datetime.datetime(1, 1, 1)},
        "opened 0001-01-01 00:00:00, bef",
    ),
]


@pytest.fixture(scope="module")
def spoiled(installed: Installation, client_ids: Iterator[int]) -> Spoiled:
    """A client with every kind of bad row among good ones."""
    one = new_tenant(installed, next(client_ids), "Kübler & Söhne")
    one.issue(key="K-1")
    one.pull_request(number=2)
    bad = [(one.issue if entity == "issue" else one.pull_request)(**fault) for _, entity, fault, _ in BAD_ROWS]
    results = one.validate()
    reasons = {row[:2]: row[2] for row in one.kept("entity, entity_id, string_agg(reason, ' and ')")}
    return Spoiled(one, bad, results, one.quarantined(), reasons)


@pytest.mark.parametrize(("at", "check", "entity", "said"), [(at, *row[:2], row[3]) for at, row in enumerate(BAD_ROWS)])
def test_a_bad_row_is_set_aside_by_one_check_that_says_why(
    spoiled: Spoiled, at: int, check: str, entity: str, said: str
) -> None:
    row = (entity, spoiled.bad[at])
    assert spoiled.quarantined[row] == check
    assert spoiled.reasons[row].startswith(said)


def test_good_rows_are_not_set_aside_with_the_bad(spoiled: Spoiled) -> None:
    assert len(spoiled.quarantined) == len(BAD_ROWS)
    assert failed(spoiled.results) == {check for check, *_ in BAD_ROWS}
    assert blocked_models(spoiled.results.values(), MODELS) == {}


@pytest.mark.parametrize("check", sorted({check for check, *_ in BAD_ROWS}))
def test_the_result_names_client_check_rows_and_reason(spoiled: Spoiled, check: str) -> None:
    found = spoiled.results[check]
    of_check = [(row, spoiled.bad[at]) for at, row in enumerate(BAD_ROWS) if row[0] == check]
    assert (found.severity, found.model, found.rows_affected) == ("quarantine", None, len(of_check))
    (_, entity, _, said), first = of_check[0]
    assert found.observed.startswith(f"{len(of_check)} set aside: {entity.replace('_', ' ')} {first} ({said}")
    assert found.observed.endswith(f" and {len(of_check) - 3} more" if len(of_check) > 3 else ")")
    assert found.reason.startswith(f"{spoiled.tenant.name} ({spoiled.tenant.slug}), all models, check '{check}': ")
    assert found.observed in found.reason


def test_a_move_before_the_creation_sets_the_issue_aside(tenant: NewTenant) -> None:
    one = tenant()
    good, bad, absurd = one.issue(created=ago(5)), one.issue(created=ago(5)), one.issue(created=INFINITY)
    one.move(good, ago(5) - datetime.timedelta(minutes=30))
    one.move(bad, ago(3))
    one.move(bad, ago(6))
    one.move(absurd, ago(4))
    results = one.validate()
    assert one.quarantined() == {("issue", bad): "issue_changelog_clock", ("issue", absurd): "issue_clock"}
    assert f"issue {bad} (moved 2025-05-26 00:00:00, before its creation 2025-05-27 00:00:00)" in (
        results["issue_changelog_clock"].observed
    )


def test_inactive_rows_are_left_alone(tenant: NewTenant) -> None:
    """The platform has deleted them: nothing reads them, and a key may be used again."""
    one = tenant()
    one.issue(key="K-9", active=False)
    one.issue(key="K-9")
    one.issue(story_points=-1, active=False)
    one.pull_request(additions=-1, active=False)
    assert failed(one.validate()) == set()
    assert one.quarantined() == {}


def test_what_is_no_fault_is_not_set_aside(tenant: NewTenant) -> None:
    """No key, no number, no project, no points, counts of an open pull request: unknown or not yet, but not wrong."""
    one = tenant()
    one.issues(2, key=None)
    one.issues(2, key="")
    one.issue(project_id=None, story_points=0)
    one.issue(story_points=None)
    one.pull_requests(2, number=None)
    one.pull_requests(2, repository_id=None, number=7)
    one.pull_request(status="open", merged_at=None, closed_at=None, commit_count=0, changed_files=0, additions=None)
    one.validate()
    assert one.quarantined() == {}


def test_looking_back_rows_of_later_days_are_no_errors(tenant: NewTenant) -> None:
    one = tenant()
    one.issue(created=ago(400))
    one.issue(created=ago(5), work_last_completed_at=ago(2))
    one.pull_request(pr_created_at=ago(400))
    one.pull_request(pr_created_at=ago(5))
    results = one.validate(moment=ago(395))
    assert one.quarantined() == {}
    assert failed(results) == set()


def issues_of(**other: Any) -> Callable[[Tenant], object]:
    count = other.pop("count", 1)
    return lambda one: one.issues(count, **other)


def pull_requests_of(**other: Any) -> Callable[[Tenant], object]:
    count = other.pop("count", 1)
    return lambda one: one.pull_requests(count, **other)


def busy_until(days: float, kind: str) -> Callable[[Tenant], object]:
    """Twelve rows in thirty days for seven times as long, but for the last `days`."""

    def plant(one: Tenant) -> None:
        moments = [ago(day) for day in range(1, 211) if day > days and day % 5 in (0, 1)]
        if kind == "issues":
            one.installed.insert("issues", [one.issue_row(created=moment) for moment in moments])
        else:
            one.installed.insert("pull_requests", [one.pull_request_row(pr_created_at=moment) for moment in moments])

    return plant


# check, model, severity, what is planted, what is observed
BAD_WHOLES = [
    (
        "issue_volume",
        None,
        "warn",
        busy_until(25, "issues"),
        "1 new issues in the last 30 days, usually 12",
    ),
    (
        "pull_request_volume",
        None,
        "warn",
        busy_until(25, "pull_requests"),
        "1 new pull requests in the last 30 days, usually 12",
    ),
    (
        "issue_freshness",
        None,
        "warn",
        issues_of(created=ago(30), last_updated_at=ago(8)),
        "latest 2025-05-24 00:00:00",
    ),
    (
        "pull_request_freshness",
        None,
        "warn",
        pull_requests_of(pr_created_at=ago(30), last_updated_at=ago(15)),
        "latest 2025-05-17 00:00:00",
    ),
    (
        "issue_summaries",
        "complexity",
        "warn",
        lambda one: [one.issues(7), one.issue(summary=None), one.issue(summary=" " * 20), one.issue(summary="tbd")],
        "3 of 10 issues have no usable summary",
    ),
    (
        "issue_statuses",
        None,
        "warn",
        lambda one: [one.issues(7), one.issues(3, status=None)],
        "3 of 10 issues have no mapped status",
    ),
    (
        "pull_request_counts",
        "rework",
        "warn",
        lambda one: [one.pull_requests(7), one.pull_requests(3, review_cycles=None)],
        "3 of 10 merged pull requests are not counted",
    ),
    (
        "issue_new_types",
        None,
        "warn",
        lambda one: [
            one.issues(60, created=ago(60)),
            one.issues(12, created=ago(40)),
            one.issues(20, created=ago(5)),
            one.issues(10, created=ago(5), type="Task"),
        ],
        "10 of 30 new issues are of a type that had none before",
    ),
    (
        "estimated_types",
        "complexity",
        "warn",
        # As many as there are, of types that nobody has mapped.
        lambda one: [one.rename("Story", "Historia"), one.issues(20), one.issue(type="Epic")],
        lambda one: (
            "0 of 21 issues are of a type that is estimated, by id in issuetypes: "
            f"{one.types['Story']} (20), {one.types['Epic']} (1)"
        ),
    ),
    (
        "epic_types",
        "trajectory",
        "warn",
        lambda one: [one.rename("Epic", "Épica"), one.issues(3, type="Epic"), one.issue()],
        "0 epics, 3 issues of other types on the level of epics or above",
    ),
    (
        "issue_null_shares",
        None,
        "warn",
        lambda one: [
            one.issues(60, created=ago(60), priority="High"),
            one.issues(20, created=ago(5), priority="High"),
            one.issues(20, created=ago(5)),
        ],
        "priority is empty in 50 % of the new issues, before in 0 %",
    ),
    (
        "complexity_labels",
        "complexity",
        "warn",
        # Points of epics and of issues beyond the cap are no labels.
        lambda one: [one.issues(20, story_points=3), one.issue(type="Epic"), one.issue(story_points=34)],
        "20 estimated issues of 3 to 3 points",
    ),
    (
        "trajectory_labels",
        "trajectory",
        "warn",
        issues_of(count=10, type="Epic", status="Done", created=ago(40), work_last_completed_at=ago(30)),
        "10 finished epics that took 10 days to 10 days",
    ),
    (
        "rework_labels",
        "rework",
        "warn",
        # The one that differs was never counted.
        lambda one: [
            one.pull_requests(40, review_cycles=2),
            one.pull_request(review_cycles=3, rework_commit_count=None),
        ],
        "0 of 40 merged pull requests needed rework",
    ),
    (
        "rework_labels",
        "rework",
        "warn",
        pull_requests_of(count=41, review_cycles=0, rework_commit_count=4),
        "41 of 41 merged pull requests needed rework",
    ),
]


@pytest.mark.parametrize(("check", "model", "severity", "plant", "observed"), BAD_WHOLES)
def test_what_is_wrong_with_the_whole_is_found_and_named(
    tenant: NewTenant,
    check: str,
    model: str | None,
    severity: str,
    plant: Callable[[Tenant], object],
    observed: str | Callable[[Tenant], str],
) -> None:
    one = tenant("Ромашка")
    plant(one)
    if callable(observed):
        observed = observed(one)

    results = one.validate()

    assert failed(results) == {check}
    found = results[check]
    assert (found.severity, found.model, found.observed, found.rows_affected) == (severity, model, observed, 0)
    concerned = f"model '{model}'" if model else "all models"
    assert found.reason.startswith(f"{one.name} ({one.slug}), {concerned}, check '{check}': ")
    assert found.reason.endswith(f"Found: {observed}; allowed: {found.threshold}.")
    assert blocked_models(results.values(), MODELS) == ({model: found.reason} if severity == "block" else {})
    assert one.quarantined() == {}


@pytest.mark.parametrize(
    ("check", "plant"),
    [
        ("complexity_labels", issues_of(count=19, story_points=3)),
        ("trajectory_labels", issues_of(count=9, type="Epic", created=ago(40), work_last_completed_at=ago(30))),
        ("rework_labels", pull_requests_of(count=39, review_cycles=0)),
    ],
)
def test_a_tiny_set_of_labels_is_for_training_to_refuse(
    tenant: NewTenant, check: str, plant: Callable[[Tenant], object]
) -> None:
    one = tenant()
    plant(one)
    results = one.validate()
    assert results[check].passed
    assert blocked_models(results.values(), MODELS) == {}


def test_a_client_without_rows_passes_through_with_a_warning(tenant: NewTenant) -> None:
    one = tenant("Empty")
    results = one.validate()
    assert failed(results) == {"no_rows"}
    assert results["no_rows"].severity == "warn"
    assert results["no_rows"].observed == "0 issues, 0 pull requests"
    assert results["issue_freshness"].observed == "no issues"
    assert blocked_models(results.values(), MODELS) == {}


@pytest.mark.parametrize("kind", ["issue", "pull_request"])
def test_one_row_passes(tenant: NewTenant, kind: str) -> None:
    one = tenant()
    getattr(one, kind)()
    assert failed(one.validate()) == set()


def test_rows_of_nothing_but_nulls_are_set_aside(tenant: NewTenant) -> None:
    one = tenant("Nulls")
    bare = {"client_id": one.client_id}
    issues = one.installed.insert("issues", [bare] * 3)
    pulls = one.installed.insert("pull_requests", [bare] * 3)
    results = one.validate()
    assert one.quarantined() == {
        **{("issue", one): "undated_issues" for one in issues},
        **{("pull_request", one): "undated_pull_requests" for one in pulls},
    }
    assert {"issue_summaries", "issue_statuses"} <= failed(results)
    assert not [name for name, found in results.items() if "could not run" in (found.observed or "")]
    assert blocked_models(results.values(), MODELS) == {}


HOSTILE_NAMES = [
    "O'Brien & Söhne",
    '"Quoted" 100% of {it}',
    "ООО «Вектор»",
    "'; drop table quarantine; -- %(client_id)s",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_is_only_a_name(tenant: NewTenant, name: str) -> None:
    one = tenant(name)
    assert one.name.startswith(name)
    bad = one.issue(key=f"{name}-1", story_points=-1)
    twin = one.issue(key=f"{name}-1")
    results = one.validate()
    assert one.quarantined() == {("issue", bad): "issue_points", ("issue", twin): "duplicate_issue_keys"}
    assert one.name in results["issue_points"].reason
    assert f"key {name}-1 is also that of issue {bad}" in results["duplicate_issue_keys"].observed
    written = one.installed.rows(
        one.installed.primary,
        "select reason from ml.validation_results where client_id = %(id)s and not passed order by check_name",
        {"id": one.client_id},
    )
    assert written == [(results["duplicate_issue_keys"].reason,), (results["issue_points"].reason,)]


def test_a_client_s_own_thresholds_hold(tenant: NewTenant) -> None:
    own = {"checks": {"issue_points": {"max_points": 1000}, "issue_freshness": {"max_days": 2}}}
    patient, strict = tenant(), tenant(overrides=Jsonb(own))
    for one in (patient, strict):
        one.issue(story_points=500, created=ago(9), last_updated_at=ago(3))
    assert failed(patient.validate()) == {"issue_points"}
    assert failed(strict.validate()) == {"issue_freshness"}


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        ({"issue_point": {"max_points": 1}}, "there is no check 'issue_point'"),
        ({"issue_points": {"max": 1}}, "check 'issue_points' has no threshold 'max'"),
        ({"issue_points": {"max_points": "many"}}, "threshold 'max_points' must be a number, got 'many'"),
    ],
)
def test_thresholds_that_no_check_has_are_refused(tenant: NewTenant, overrides: dict[str, Any], rule: str) -> None:
    one = tenant(overrides=Jsonb({"checks": overrides}))
    with pytest.raises(ConfigurationError, match=f"client '{one.slug}': .*{rule}"):
        one.validate()


def test_the_next_run_replaces_what_was_set_aside(tenant: NewTenant) -> None:
    one = tenant()
    cured, sick = one.issue(story_points=-1), one.issue(story_points=-2)
    one.validate("first")
    assert set(one.quarantined()) == {("issue", cured), ("issue", sick)}
    with psycopg.connect(one.installed.platform) as connection:
        connection.execute("update issues set story_points = 2 where id = %s", [cured])

    one.validate("second")

    assert one.quarantined() == {("issue", sick): "issue_points"}
    query = f"select run_id, reason from ml_client_{one.client_id}.quarantine"
    assert one.installed.rows(one.installed.replica, query) == [(one.run("second").run_id, "-2 story points")]


def test_a_repeated_run_replaces_its_results(tenant: NewTenant) -> None:
    one = tenant()
    sick = one.issue(story_points=-1)
    one.validate("night")
    one.validate("another")
    with psycopg.connect(one.installed.platform) as connection:
        connection.execute("update issues set story_points = 2 where id = %s", [sick])
    results = one.validate("night")

    query = """
    select check_name, model, severity, passed, observed, threshold, reason, rows_affected, runs, since::text, news
    from ml.validation_results
    where client_id = %(client_id)s and run_id = %(run_id)s
    order by check_name
    """

    def written(dag_run_id: str) -> list[CheckResult]:
        values = {"client_id": one.client_id, "run_id": one.run(dag_run_id).run_id}
        return [CheckResult(*row) for row in one.installed.rows(one.installed.primary, query, values)]

    assert written("night") == [results[name] for name in sorted(results)]
    assert {found.check_name for found in written("another") if not found.passed} == {"issue_points"}


def test_only_checks_of_the_asked_models_run(tenant: NewTenant) -> None:
    one = tenant()
    one.issues(20, story_points=3)
    one.installed.catch_up()
    results = validate(one.installed.databases, one.run(), ["rework"])
    assert {result.model for result in results} == {None, "rework"}


def test_another_client_s_rows_are_neither_counted_nor_named(tenant: NewTenant) -> None:
    ours, theirs = tenant("Ours"), tenant("Theirs")
    theirs.issues(40, story_points=-1, key="SECRET-1", summary=None)
    theirs.pull_requests(40, additions=-1)
    ours.issue(key="SECRET-1")
    ours.pull_request()

    results = ours.validate()

    assert failed(results) == set()
    assert ours.quarantined() == {}
    assert results["no_rows"].observed == "1 issues, 1 pull requests"
    assert results["issue_summaries"].observed == "0 of 1 issues have no usable summary"
    assert not [found for found in results.values() if "Theirs" in str(found)]


def test_what_hangs_on_another_client_is_set_aside(tenant: NewTenant) -> None:
    """Row-level security hides the other's project: to the client it is not there."""
    ours, theirs = tenant("Ours"), tenant("Theirs")
    issue = ours.issue(project_id=theirs.project)
    pull_request = ours.pull_request(repository_id=theirs.repository)
    ours.issue()
    results = ours.validate()
    assert ours.quarantined() == {
        ("issue", issue): "orphaned_issues",
        ("pull_request", pull_request): "orphaned_pull_requests",
    }
    assert f"issue {issue} (project {theirs.project} is not there)" in results["orphaned_issues"].observed
    assert blocked_models(results.values(), MODELS) == {}


@pytest.fixture
def row_security(installed: Installation) -> Iterator[Callable[[str], None]]:
    """Switches the second layer of isolation off ('disable') on the copies of the platform's tables, and on again."""
    query = "select relname from pg_class where relnamespace = 'public'::regnamespace and relrowsecurity"
    tables = [name for (name,) in installed.rows(installed.replica, query)]
    assert "issues" in tables

    def switch(word: str) -> None:
        with psycopg.connect(installed.replica) as connection:
            for name in tables:
                words = {"table": sql.Identifier("public", name), "word": sql.SQL(word)}
                connection.execute(sql.SQL("alter table {table} {word} row level security").format(**words))

    yield switch
    switch("enable")


def test_readable_rows_of_others_block_everything(tenant: NewTenant, row_security: Callable[[str], None]) -> None:
    ours, theirs = tenant("Ours"), tenant("Theirs")
    stray = ours.issue(project_id=theirs.project)
    ours.issues(20, story_points=3)
    ours.pull_request(issue_id=theirs.issue(story_points=-1, key="SECRET-1"))
    theirs.issues(30, story_points=-1, key="K-2", summary=None, status=None, last_updated_at=AS_OF)
    theirs.pull_requests(50, additions=-1, number=2, review_cycles=None, last_updated_at=AS_OF)
    theirs.move(own_issues(theirs)[0], ago(9))
    secured = ours.validate()
    row_security("disable")

    results = ours.validate()

    rows, references = results["foreign_rows"], results["foreign_references"]
    assert (rows.severity, rows.passed, rows.model) == ("block", False, None)
    assert re.fullmatch(r"[0-9]+ changelogs, [0-9]+ issues, [0-9]+ pull requests of other clients", rows.observed)
    assert references.observed == "1 issues by project, 1 pull requests by issue linked to another client"
    blocked = blocked_models(results.values(), MODELS)
    assert set(blocked) == set(MODELS)
    assert references.reason in blocked["rework"] and rows.reason in blocked["rework"]
    assert not [found for found in results.values() if "Theirs" in str(found) or "SECRET" in str(found)]
    # The first layer, each statement's own filter, holds without the second.
    assert ours.quarantined() == {("issue", stray): "orphaned_issues"}
    blind = ("foreign_rows", "foreign_references")
    assert [results[name] for name in results if name not in blind] == [
        secured[name] for name in secured if name not in blind
    ]


def own_issues(one: Tenant) -> list[int]:
    query = "select id from public.issues where client_id = %(id)s order by id"
    return [row[0] for row in one.installed.rows(one.installed.primary, query, {"id": one.client_id})]


@pytest.fixture
def shipped_and(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A folder with the shipped checks, to which others can be added."""
    folder = tmp_path / "checks"
    shutil.copytree(checks.CHECKS, folder)
    monkeypatch.setattr(checks, "CHECKS", folder)

    def add(name: str, text: str) -> None:
        (folder / f"{name}.sql").write_text(text, encoding="utf-8")

    return add


FAULTY = [
    ("block", "select 1 / 0 > 0 as passed, '' as observed, '' as threshold", "division by zero"),
    ("warn", "select true as passed, '' as observed, '' as threshold where false", "it must return one row, got 0"),
    ("warn", "select true as passed, '' as observed, '' as threshold from generate_series(1, 2)", "one row, got 2"),
    (
        "warn",
        "select null::boolean as passed, '' as observed, '' as threshold",
        "passed must be true or false, got None",
    ),
    ("warn", "select true as ok", "it must return passed, observed, threshold, got ok"),
    ("warn", "select secret from ml.clients_of_others", 'relation "ml.clients_of_others" does not exist'),
    ("quarantine", "select 'epic' as entity, 7::bigint as entity_id, 'bad' as reason", "violates check constraint"),
    (
        "quarantine",
        "select 'pull_request' as entity, 7::bigint as entity_id, 'bad' as reason",
        "entity must be 'issue', got",
    ),
    ("quarantine", "select 'issue' as entity, null::bigint as entity_id, 'bad' as reason", "null value in column"),
]


@pytest.mark.parametrize(("severity", "statement", "said"), FAULTY)
def test_a_check_that_cannot_run_has_failed_and_the_others_run(
    tenant: NewTenant, shipped_and: Callable[[str, str], None], severity: str, statement: str, said: str
) -> None:
    entity = "-- entity: issue\n" if severity == "quarantine" else ""
    shipped_and("faulty", f"-- Why it is there.\n-- severity: {severity}\n{entity}{statement}\n")
    one = tenant("O'Brien")
    bad = one.issue(story_points=-1)

    results = one.validate()

    assert failed(results) == {"faulty", "issue_points"}
    assert results["faulty"].observed.startswith("could not run: ")
    assert said in results["faulty"].observed
    assert results["faulty"].reason.startswith(f"{one.name} ({one.slug}), all models, check 'faulty': Why it is there.")
    assert one.quarantined() == {("issue", bad): "issue_points"}
    assert set(blocked_models(results.values(), MODELS)) == (set(MODELS) if severity == "block" else set())


def test_a_check_that_takes_too_long_is_ended(
    tenant: NewTenant, shipped_and: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped_and(
        "slow", "-- Why.\n-- severity: warn\nselect pg_sleep(60) is null as passed, '' as observed, '' as threshold\n"
    )
    monkeypatch.setattr("include.foresight.validation.CHECK_SECONDS", 0.3)
    results = tenant().validate()
    assert results["slow"].observed == "could not run: canceling statement due to statement timeout"
    assert len(results) == len(checks.names())


def test_an_entity_that_a_check_finds_twice_is_set_aside_once(
    tenant: NewTenant, shipped_and: Callable[[str, str], None]
) -> None:
    shipped_and(
        "doubled",
        "-- Why.\n-- severity: quarantine\n-- entity: issue\n"
        "select 'issue' as entity, n %% 5 + 1::bigint as entity_id, 'fault ' || n as reason\n"
        "from generate_series(1, 6) as n -- the last line is a comment\n",
    )
    one = tenant()
    found = one.validate()["doubled"]
    assert found.rows_affected == 5
    assert found.observed == "5 set aside: issue 1 (fault 5), issue 2 (fault 1; fault 6), issue 3 (fault 2) and 2 more"


def test_rows_of_a_check_that_is_gone_are_released(
    tenant: NewTenant, shipped_and: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = "select 'issue' as entity, 7::bigint as entity_id, 'bad' as reason"
    shipped_and("passing", f"-- Why.\n-- severity: quarantine\n-- entity: issue\n{statement}\n")
    one = tenant()
    one.validate("first")
    assert one.quarantined() == {("issue", 7): "passing"}
    (checks.CHECKS / "passing.sql").unlink()
    one.validate("second")
    assert one.quarantined() == {}


def test_a_check_that_cannot_run_keeps_what_it_had_set_aside(
    tenant: NewTenant, shipped_and: Callable[[str, str], None]
) -> None:
    one = tenant()
    bad = one.issue(story_points=-1)
    one.validate("first")
    shipped_and("issue_points", "-- Why.\n-- severity: quarantine\n-- entity: issue\nselect 1 / 0\n")
    one.validate("second")
    assert one.quarantined() == {("issue", bad): "issue_points"}


def test_a_lost_connection_is_no_check_s_failure(tenant: NewTenant, shipped_and: Callable[[str, str], None]) -> None:
    """The run is tried again; nothing is written of this try."""
    shipped_and(
        "deadly",
        "-- Why.\n-- severity: warn\n"
        "select pg_terminate_backend(pg_backend_pid()) as passed, '' as observed, '' as threshold\n",
    )
    one = tenant()
    with psycopg.connect(one.installed.replica, autocommit=True) as connection:
        connection.execute("grant pg_signal_backend to foresight_clients")
        try:
            with pytest.raises(psycopg.OperationalError):
                one.validate()
        finally:
            connection.execute("revoke pg_signal_backend from foresight_clients")
    query = "select count(*) from ml.validation_results where client_id = %(id)s"
    assert one.installed.rows(one.installed.primary, query, {"id": one.client_id}) == [(0,)]


def test_the_sessions_are_closed(tenant: NewTenant, installed: Installation) -> None:
    opened: list[psycopg.Connection] = []

    def connect(conn_id: str) -> psycopg.Connection:
        opened.append(psycopg.connect(installed.app(conn_id)))
        return opened[-1]

    one = tenant()
    installed.catch_up()
    validate(Databases(connect), one.run(), MODELS)
    assert opened and all(connection.closed for connection in opened)


def said(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == level and "validation" in record.name]


def test_what_was_found_before_is_counted_and_not_said_again(tenant: NewTenant, caplog: pytest.LogCaptureFixture):
    """The same night after night is no news: only its first night, and each that finds something else, warns."""
    one = tenant("Ромашка")
    one.issues(3, story_points=500)
    caplog.set_level(logging.INFO)

    def night(number: int) -> tuple[list[str], list[str], CheckResult]:
        caplog.clear()
        found = one.validate(f"night {number}", AS_OF + datetime.timedelta(days=number))["issue_points"]
        return said(caplog, logging.WARNING), said(caplog, logging.INFO), found

    warned, told, found = night(1)
    assert warned == [found.reason] and told == []
    assert (found.runs, found.since, found.news) == (1, "2025-06-02", True)
    for number in (2, 3):
        warned, told, found = night(number)
        assert warned == []
        assert told == [f"1 check has found the same as before: issue_points ({number} runs, since 2025-06-02)."]
        assert (found.runs, found.since, found.news) == (number, "2025-06-02", False)
    assert night(3)[2].runs == 3, "a repeated task is not compared with itself"
    one.issues(1, story_points=700)
    warned, _, found = night(4)
    assert warned == [f"{found.reason} (It has failed in 4 runs.)"] and "4 set aside" in found.reason
    with psycopg.connect(one.installed.platform) as platform:
        platform.execute("update issues set story_points = 3 where client_id = %s", [one.client_id])
    warned, told, found = night(5)
    assert warned == [] and told == ["check 'issue_points' passes again"] and found.passed and found.news
    assert night(6)[:2] == ([], [])
    stored = one.installed.rows(
        one.installed.primary,
        "select passed, runs, since::text, news from ml.validation_results where client_id = %(id)s"
        " and check_name = 'issue_points' order by created_at",
        {"id": one.client_id},
    )
    assert stored == [
        (False, 1, "2025-06-02", True),
        (False, 2, "2025-06-02", False),
        (False, 3, "2025-06-02", False),
        (False, 4, "2025-06-02", True),
        (True, 1, None, True),
        (True, 1, None, False),
    ]


def test_a_run_of_the_past_is_nothing_to_compare_with(tenant: NewTenant):
    one = tenant()
    one.issues(3, story_points=500)
    assert one.validate("night")["issue_points"].runs == 1
    assert one.validate("past", ago(1), as_of=ago(1))["issue_points"].runs == 2
    assert one.validate("the next")["issue_points"].runs == 2
