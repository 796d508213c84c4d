"""Running the checks of sql/checks for one client: what passed, what is blocked, which rows are set aside."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from include.foresight import checks, guard, renumbering
from include.foresight.checks import Check
from include.foresight.clients import Client
from include.foresight.database import Databases, Session, Transaction
from include.foresight.errors import ConfigurationError, ForesightError
from include.foresight.runs import Run

log = logging.getLogger(__name__)

# One check may take that long on the server.
CHECK_SECONDS = 60.0
VERDICT = ("passed", "observed", "threshold")
LONGEST_ERROR = 500


class CheckMisbehaved(ForesightError):
    """A check returned something else than its severity asks for."""


@dataclass(frozen=True)
class CheckResult:
    """`model` None means all models. `rows_affected` is how many rows were set aside. Of a check that has failed: in
    how many `runs` in a row, `since` which day of the data. `news`: the run before has come to something else."""

    check_name: str
    model: str | None
    severity: str
    passed: bool
    observed: str | None
    threshold: str | None
    reason: str
    rows_affected: int = 0
    runs: int = 1
    since: str | None = None
    news: bool = True


def validate(databases: Databases, run: Run, models: Sequence[str]) -> list[CheckResult]:
    """Run every check that concerns these models, as the client, and write what came out to the primary.

    Each check is a transaction of its own on the client's replica; one that raises has failed, and the others run. A
    lost connection is no check's failure and is raised, for the run to be tried again. Raises ConfigurationError when
    the client overrides what no check has.
    """
    client = run.client
    try:
        every = checks.chosen(client.overrides.get("checks", {}))
    except ConfigurationError as error:
        raise ConfigurationError(f"client '{client.slug}': {error}") from None
    concerned = [check for check in every if check.model is None or check.model in models]
    with databases.primary() as primary, primary.as_client(client.client_id) as tx:
        predicted = renumbering.predicted(tx, client.client_id)
    with databases.session(client.replica_conn_id) as replica:
        with replica.as_client(client.client_id) as tx:
            tx.run("validation/forget", {"check_names": [check.name for check in every]})
        results = [run_check(databases, replica, run, check, predicted) for check in concerned]
    with databases.primary() as primary, primary.as_client(client.client_id) as tx:
        results = with_history(tx, run, results)
        write(tx, run, results)
    log_changes(results)
    return results


def with_history(tx: Transaction, run: Run, results: Sequence[CheckResult]) -> list[CheckResult]:
    """Compare the results with those of the run before: how long a check has failed, and whether this is news."""
    values = run.values | {"check_names": [result.check_name for result in results]}
    before = {row["check_name"]: row for row in tx.all("validation/before", values)}
    return [_with_history(result, before.get(result.check_name), run) for result in results]


def _with_history(result: CheckResult, last: Mapping[str, Any] | None, run: Run) -> CheckResult:
    failed_before = last is not None and not last["passed"]
    if result.passed:
        return replace(result, news=failed_before)
    if not failed_before:
        return replace(result, since=str(run.as_of.date()))
    return replace(result, runs=last["runs"] + 1, since=str(last["since"]), news=last["observed"] != result.observed)


def log_changes(results: Sequence[CheckResult]) -> None:
    """Log each finding that is new, and one line for all that are as in the run before."""
    for result in results:
        if result.news and result.passed:
            log.info("check '%s' passes again", result.check_name)
        elif result.news:
            log.warning("%s%s", result.reason, f" (It has failed in {result.runs} runs.)" if result.runs > 1 else "")
    for line in repeated_findings([asdict(result) for result in results if not result.passed and not result.news]):
        log.info("%s", line)


def repeated_findings(failed: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for all the checks that have found the same as in the run before; none when there are none."""
    if not failed:
        return []
    named = ", ".join(f"{row['check_name']} ({row['runs']} runs, since {row['since']})" for row in failed)
    return [f"{len(failed)} {'check has' if len(failed) == 1 else 'checks have'} found the same as before: {named}."]


def run_check(databases: Databases, replica: Session, run: Run, check: Check, predicted: str) -> CheckResult:
    """One check in one transaction; its failure to run is a result too. `predicted`: that of renumbering."""
    given = {"client_id": run.client.client_id, "as_of": run.as_of, "predicted": predicted}
    values = {**check.thresholds, **given}
    of_severity = set_aside if check.severity == "quarantine" else judge
    try:
        return guard.on_copies(
            databases, run.client, replica, lambda tx: of_severity(tx, run, check, values), timeout=CHECK_SECONDS
        )
    except (psycopg.Error, CheckMisbehaved) as error:
        if replica.connection.closed:
            raise
        said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
        observed = f"could not run: {said or error}"[:LONGEST_ERROR]
        return result(run.client, check, passed=False, observed=observed, threshold=None)


def judge(tx: Transaction, run: Run, check: Check, values: dict[str, Any]) -> CheckResult:
    """A check that says whether it passed. Raises CheckMisbehaved unless it returns one row and says so."""
    cursor = tx.execute(sql.SQL(check.sql), values)
    columns = tuple(column.name for column in cursor.description or ())
    rows = cursor.fetchall() if columns == VERDICT else []
    if columns != VERDICT:
        raise CheckMisbehaved(f"it must return {', '.join(VERDICT)}, got {', '.join(columns) or 'nothing'}")
    if len(rows) != 1:
        raise CheckMisbehaved(f"it must return one row, got {len(rows)}")
    row = rows[0]
    if not isinstance(row["passed"], bool):
        raise CheckMisbehaved(f"passed must be true or false, got {row['passed']!r}")
    return result(run.client, check, **row)


def set_aside(tx: Transaction, run: Run, check: Check, values: dict[str, Any]) -> CheckResult:
    """A check that finds bad rows: they replace those that it found the last time."""
    values = {**values, "check_name": check.name, "run_id": run.run_id}
    tx.run("validation/release", values)
    found = tx.one("validation/set_aside", values, check=sql.SQL(check.sql))
    strangers = set(found["entities"] or ()) - {check.entity}
    if strangers:
        raise CheckMisbehaved(f"entity must be '{check.entity}', got '{', '.join(sorted(strangers))}'")
    count = found["rows"]
    if not count:
        return result(run.client, check, passed=True, observed="no rows", threshold="none")
    more = f" and {count - len(found['first'])} more" if count > len(found["first"]) else ""
    noun = check.entity.replace("_", " ")
    observed = f"{count} set aside: {noun} {f', {noun} '.join(found['first'])}{more}"
    return result(run.client, check, passed=False, observed=observed, threshold="none", rows_affected=count)


def result(
    client: Client,
    check: Check,
    *,
    passed: bool,
    observed: str | None,
    threshold: str | None,
    rows_affected: int = 0,
) -> CheckResult:
    """The result with its sentence: the rule where it is kept, whom it concerns and what was found where it is not."""
    reason = check.reason
    if not passed:
        concerned = f"model '{check.model}'" if check.model else "all models"
        allowed = f"; allowed: {threshold}" if threshold is not None else ""
        reason = (
            f"{client.name} ({client.slug}), {concerned}, check '{check.name}': "
            f"{check.reason} Found: {observed}{allowed}."
        )
    return CheckResult(check.name, check.model, check.severity, passed, observed, threshold, reason, rows_affected)


def write(tx: Transaction, run: Run, results: Sequence[CheckResult]) -> None:
    """Replace what a try before this one has written."""
    tx.run("validation/forget_results", run.values)
    tx.run("validation/write_results", {**run.values, "results": Jsonb([asdict(one) for one in results])})


def blocked_models(results: Iterable[CheckResult], models: Sequence[str]) -> dict[str, str]:
    """The models that are not to be trained, each with the reasons."""
    failed = [one for one in results if one.severity == "block" and not one.passed]
    reasons = {model: [one.reason for one in failed if one.model in (None, model)] for model in models}
    return {model: " ".join(found) for model, found in reasons.items() if found}
