"""The generated clients in an installation, and their nights, phase by phase as the DAG runs them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import demo
from include.foresight import deployment, dossier, drift, model_specs, nightly
from include.foresight.database import Databases
from include.foresight.errors import ForesightError
from include.foresight.names import client_schema
from tests.support.installation import Installation

END = datetime.datetime(2026, 3, 1)
SLUGS = {1: "northwind", 2: "obrien", 3: "tiny"}


def load(installed: Installation) -> None:
    """The three clients with their history up to END, copied to the replica, registered and provisioned."""
    demo.load_generated(installed.platform, seed=7, end=END)
    installed.install()
    with installed.superuser() as primary:
        for client_id, slug in SLUGS.items():
            primary.execute(
                "insert into ml.clients (client_id, slug, name, clock)"
                " select id, %s, name, 'data' from public.clients where id = %s",
                [slug, client_id],
            )
    deployment.provision(installed.primary, installed.replica, *SLUGS)
    installed.catch_up()


@dataclass
class Night:
    """One run of one client: what every phase returned, or the error that it raised."""

    slug: str
    dag_run_id: str
    found: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, ForesightError] = field(default_factory=dict)

    @property
    def state(self) -> str:
        return self.found["prepare"]["state"]


def live(databases: Databases, slug: str, dag_run_id: str, **request: Any) -> Night:
    """A whole night, with the rule of the DAG: prepare and validate must go well, the others are tried."""
    night = Night(slug, dag_run_id)
    night.found["prepare"] = nightly.prepare(databases, slug, dag_run_id, request)
    if night.state != "prepared":
        return night
    states = {"prepare": "success"}
    for phase, run in nightly.PHASES.items():
        try:
            night.found[phase] = run(databases, slug, dag_run_id)
            states[phase] = "success"
        except ForesightError as error:
            night.errors[phase] = error
            states[phase] = "failed"
    night.found["report"] = nightly.report(databases, slug, dag_run_id, states)
    return night


def look_for_drift(installed: Installation, client_id: int, model: str) -> None:
    """As the last night's watch does it."""
    query = (
        "select run_id from ml.nightly_runs where client_id = %(client_id)s and phases ? 'watch'"
        " order by started_at desc limit 1"
    )
    [(run_id,)] = installed.rows(installed.primary, query, {"client_id": client_id})
    with installed.databases.primary() as primary, primary.as_client(client_id) as tx:
        client = dossier.find(tx, SLUGS[client_id])
        found = drift.look(tx, client, model_specs.read(model))
        drift.record(tx, {"run_id": run_id, "client_id": client_id}, model, found)


def trainings(installed: Installation, night: Night) -> dict[str, Mapping[str, Any]]:
    """The rows of ml.training_runs of a night, by model."""
    rows = installed.dicts(
        installed.primary,
        "select training.* from ml.training_runs as training join ml.nightly_runs as runs using (run_id)"
        " where runs.dag_run_id = %(dag_run_id)s and training.client_id ="
        " (select client_id from ml.clients where slug = %(slug)s)",
        {"dag_run_id": night.dag_run_id, "slug": night.slug},
    )
    return {row["model"]: row for row in rows}


def table(client_id: int, training: Mapping[str, Any]) -> str:
    return f"{client_schema(client_id)}.{training['training_table']}"
