"""What the predictions would have changed for a client: figures that a manager knows, each with its plain formula.

Read from the log of predictions on the primary and from the outcomes on the client's replica, as of any moment: what
was logged or became known later does not count. Of an entity the first nightly prediction counts, which is what people
could have planned by. (Two things the platform keeps no history of, and they are taken as they are now: an issue's
points, and a pull request's review cycles.)
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from include.foresight import clients, guard, model_specs
from include.foresight.clients import Client
from include.foresight.database import Databases, Transaction
from include.foresight.model_specs import ModelSpec

READ_SECONDS = 120.0


@dataclass(frozen=True)
class Finding:
    """`value`: `part` of `rows`, as a share; None where there is no row yet. `simple`: the same by the simple rung's
    answers, None where it has no say."""

    client: str
    model: str
    title: str
    value: float | None
    simple: float | None
    part: float
    rows: int
    formula: str


Figure = Callable[[Transaction, Client, ModelSpec, datetime.datetime], Finding]


def clients_of(databases: Databases) -> list[str]:
    """The slugs of those that can be reported on."""
    with databases.primary() as primary, primary.as_fleet() as fleet:
        return [client.slug for client in clients.read_active(fleet) if client.provisioned]


def read(databases: Databases, slug: str, as_of: datetime.datetime | None = None) -> list[Finding]:
    """The client's findings as of a moment (UTC without a zone; None: that of its newest prediction)."""
    with databases.primary() as primary:
        with primary.as_fleet() as fleet:
            client = clients.read(fleet, slug)
        with primary.as_client(client.client_id) as tx:
            newest = tx.one("business/newest", {"client_id": client.client_id})["as_of"]
            moment = as_of or newest or datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
            told = {
                model: tx.all(
                    "business/first_predictions", {"client_id": client.client_id, "model": model, "as_of": moment}
                )
                for model in FIGURES
            }
    specs = {spec.model: spec for spec in model_specs.chosen(tuple(FIGURES), client.overrides)}
    found = []
    with databases.session(client.replica_conn_id) as replica:
        for model, figure in FIGURES.items():

            def read_outcomes(tx: Transaction, model: str = model, figure: Figure = figure) -> Finding:
                _tell(tx, told[model])
                return figure(tx, client, specs[model], moment)

            found.append(guard.on_copies(databases, client, replica, read_outcomes, timeout=READ_SECONDS))
    return found


def _tell(tx: Transaction, rows: list[dict[str, Any]]) -> None:
    tx.run("business/told")
    columns = ("entity_id", "entity_key", "as_of", "value", "late", "simple")
    tx.run("business/tell", {name: [row[name] for row in rows] for name in columns})


def _late_epics(tx: Transaction, client: Client, spec: ModelSpec, as_of: datetime.datetime) -> Finding:
    row = tx.one("business/late_epics", {"client_id": client.client_id, "as_of": as_of})
    return Finding(
        client.slug,
        spec.model,
        "epics later than their P85 date",
        _share(row["late"], row["rows"]),
        None,
        row["late"],
        row["rows"],
        "epics not done by the P85 date that they were given first ÷ epics that are done or whose P85 date is over; "
        "15 % is what P85 means",
    )


def _missized_issues(tx: Transaction, client: Client, spec: ModelSpec, as_of: datetime.datetime) -> Finding:
    row = tx.one("business/missized_issues", {"client_id": client.client_id, "as_of": as_of})
    steps = ", ".join(f"{step:g}" for step in row["steps"] or ())
    return Finding(
        client.slug,
        spec.model,
        "issues mis-sized by more than one step",
        _share(row["missized"], row["rows"]),
        _share(row["missized_simply"], row["rows"]),
        row["missized"],
        row["rows"],
        "issues whose first estimate is more than one step from the points they were given ÷ issues that had an "
        f"estimate before points; steps are values given to 1 % of the issues or more ({steps or 'none yet'})",
    )


def _caught_rework(tx: Transaction, client: Client, spec: ModelSpec, as_of: datetime.datetime) -> Finding:
    values = {name: spec.settings[name] for name in ("max_review_cycles", "max_rework_commits")}
    row = tx.one("business/caught_rework", {"client_id": client.client_id, "as_of": as_of} | values)
    return Finding(
        client.slug,
        spec.model,
        "rework caught in the riskiest 10 %",
        _share(row["caught"], row["bad"]),
        _share(row["caught_simply"], row["bad"]),
        row["caught"],
        row["bad"],
        f"reworked pull requests among the riskiest tenth of {row['rows']} by their first risk ÷ all reworked ones "
        f"(more than {values['max_review_cycles']:g} review cycles or {values['max_rework_commits']:g} rework "
        "commits); chance would catch 10 %",
    )


def _share(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None


# By model, in the order of the report.
FIGURES: Mapping[str, Figure] = {
    "trajectory": _late_epics,
    "complexity": _missized_issues,
    "rework": _caught_rework,
}
