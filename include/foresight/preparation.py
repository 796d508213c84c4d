"""The first phase: wait for the replica, finish or undo what a crash left, and see whether there is anything new."""

from __future__ import annotations

import datetime
import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from include.foresight import champions, clients, guard, model_specs, names, pgml, promotion, replication, runs
from include.foresight.clients import Client
from include.foresight.database import Databases, Session
from include.foresight.errors import ConfigurationError, ReplicaBehind
from include.foresight.runs import Request, Run
from include.foresight.version import code_version

log = logging.getLogger(__name__)

# Reading all of a client's rows once.
SOURCE_SECONDS = 300.0

# Training tables, and what else is kept of earlier nights.
KEPT_RUNS = 2
KEPT_MODELS = 3

# A replay asks, at its end, every model that has served.
KEPT_IN_REPLAY = 10_000

PREPARED, UNCHANGED, WAITING = "prepared", "unchanged", "waiting"


@dataclass(frozen=True)
class Preparation:
    """`run` None: the replica has not caught up yet."""

    state: str
    run: Run | None = None
    reason: str | None = None


def prepare(
    databases: Databases, slug: str, dag_run_id: str, request: Request, *, patience: float = 10.0
) -> Preparation:
    """Open the run. What it sees of the primary is at least what was committed there when this began."""
    with databases.primary() as primary, primary.as_fleet() as fleet:
        client = clients.read(fleet, slug)
    with databases.locked(client.client_id) as primary, databases.session(client.replica_conn_id) as replica:
        if request.trigger == runs.REPLAY:
            runs.check_throw_away(primary)
        if replication.behind(primary, replica, patience) is None:
            return Preparation(WAITING, reason=f"the replica {client.replica_conn_id} is behind")
        seen = _source_state(databases, replica, client)
        with primary.as_client(client.client_id) as tx:
            before = tx.one("runs/by_id", {"run_id": runs.run_id_of(client, dag_run_id)})
        as_of = before["as_of"] if before else request.as_of or seen["last_moment"] or seen["wall"]
        _refuse_what_has_not_happened(client, request, as_of, seen)
        fingerprint = _fingerprint(client, seen["content"])
        kept = KEPT_IN_REPLAY if request.trigger == runs.REPLAY else promotion.RESTORABLE
        tidy(primary, replica, client, dag_run_id, kept)
        news = _news(primary, replica, client, dag_run_id, request, fingerprint, before)
        run = runs.open_run(
            primary,
            client,
            dag_run_id,
            request,
            as_of=as_of,
            fingerprint=fingerprint,
            state=PREPARED if news else UNCHANGED,
        )
        return Preparation(run.state, run, news or "nothing new since the last night")


def give_up_waiting(client_slug: str, seconds: float) -> None:
    raise ReplicaBehind(
        f"client '{client_slug}': its replica has not shown the primary's heartbeat for {seconds:.0f} s; "
        "is the subscription enabled, and is there an error in the replica's log?"
    )


def _source_state(databases: Databases, replica: Session, client: Client) -> dict[str, Any]:
    """`content`: what the client's rows come to; `wall`: the time; `last_moment`: of its data, if that is its clock."""
    values = {"client_id": client.client_id, "clock": client.clock}
    return guard.on_copies(
        databases,
        client,
        replica,
        lambda tx: tx.one("preparation/source_state", values),
        timeout=SOURCE_SECONDS,
    )


def _refuse_what_has_not_happened(
    client: Client, request: Request, as_of: datetime.datetime, seen: Mapping[str, Any]
) -> None:
    """What is known as of a later moment would never be replaced. A replay shows the rows of its moments by itself."""
    clocks = {"the database's clock": seen["wall"]}
    if seen["last_moment"] is not None and request.trigger != runs.REPLAY:
        clocks["the last moment of the client's data"] = seen["last_moment"]
    for name, moment in clocks.items():
        if as_of > moment:
            raise ConfigurationError(
                f"client '{client.slug}': as_of {as_of} lies after {name}, {moment}: nothing was written"
            )


def _fingerprint(client: Client, source: str) -> str:
    """Changes when a night could come to something else: rows, specs, settings, code."""
    digests = [spec.digest for spec in model_specs.chosen(None, client.overrides)]
    said = "\0".join([source, *digests, code_version(), str(client.ml_predictions_enabled), client.replica_conn_id])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _news(
    primary: Session,
    replica: Session,
    client: Client,
    dag_run_id: str,
    request: Request,
    fingerprint: str,
    before: Mapping[str, Any] | None,
) -> str | None:
    """Why there is something to do; None when there is not. `before`: the run's row of an earlier try."""
    if not request.usual:
        return "asked for"
    if before is not None and before["state"] != UNCHANGED:
        return "this run is repeated"
    values = {"client_id": client.client_id, "run_id": runs.run_id_of(client, dag_run_id)}
    with primary.as_client(client.client_id) as tx:
        last = tx.one("runs/last", values)
        serving = champions.read(tx, client.client_id)
    if last is None:
        return "the first night"
    if last["state"] not in ("success", "unchanged"):
        return f"the last night is {last['state']}"
    if last["source_fingerprint"] != fingerprint:
        return "rows, settings or code have changed"
    if set(model_specs.names()) - set(serving):
        return "a model without a champion"
    with replica.as_client(client.client_id) as tx:
        for champion in serving.values():
            if champion.pgml_model_id is not None and not pgml.exists(tx, champion.pgml_model_id, champion.model_name):
                return "a champion's model is missing on the replica"
    return None


def tidy(
    primary: Session, replica: Session, client: Client, dag_run_id: str, champions_kept: int = promotion.RESTORABLE
) -> None:
    """Finish or undo what crashed runs left, mark what serves as deployed, and drop what is old."""
    values = {"client_id": client.client_id, "run_id": runs.run_id_of(client, dag_run_id)}
    with primary.as_client(client.client_id) as tx:
        broken = tx.run("preparation/interrupt_trainings", values).rowcount
        broken += tx.run("preparation/interrupt_runs", values).rowcount
        serving = champions.read(tx, client.client_id)
        restorable = promotion.restorable(tx, client, champions_kept)
        recent = {row["run_id"] for row in tx.all("runs/recent", values | {"count": KEPT_RUNS})}
    if broken:
        log.warning("%s: %s rows of runs that were cut off are marked as interrupted", client.slug, broken)
    kept = {run_id.hex[:8] for run_id in recent | {values["run_id"]}}
    with replica.as_client(client.client_id) as tx:
        for row in tx.all("preparation/tables", {"schema": names.client_schema(client.client_id)}):
            if _run_of_table(row["name"]) not in kept | {None}:
                tx.run(
                    "features/drop_table",
                    table=sql.Identifier(names.client_schema(client.client_id), row["name"]),
                    view=sql.Identifier(names.client_schema(client.client_id), names.ordered_view(row["name"])),
                )
    _mark_deployed(replica, client, serving)
    _forget_models(replica, client, serving, restorable)


def _run_of_table(name: str) -> str | None:
    """The run that a training table is of; None when it is no training table."""
    model, _, suffix = name.rpartition("_")
    return suffix if model in model_specs.names() and re.fullmatch("[0-9a-f]{8}", suffix) else None


def _mark_deployed(replica: Session, client: Client, serving: dict[str, champions.Champion]) -> None:
    for champion in serving.values():
        if champion.pgml_model_id is None or champion.replica_conn_id != client.replica_conn_id:
            continue
        with replica.as_client(client.client_id) as tx:
            there = pgml.exists(tx, champion.pgml_model_id, champion.model_name)
            marked = pgml.deployed(tx, champion.model_name) == champion.pgml_model_id
        if there and not marked:
            promotion.deploy(replica, client.client_id, champion.pgml_model_id)


def _forget_models(
    replica: Session, client: Client, serving: dict[str, champions.Champion], restorable: list[int]
) -> None:
    specs = model_specs.chosen(None, client.overrides)
    projects = [names.project(spec.project_name, client.client_id, spec.version) for spec in specs]
    keep = [champion.pgml_model_id for champion in serving.values() if champion.pgml_model_id is not None]
    keep += restorable
    with replica.as_client(client.client_id) as tx:
        gone = pgml.forget(tx, projects, keep, KEPT_MODELS)
    if gone:
        log.info("%s: %s old models deleted", client.slug, gone)


def summary(preparation: Preparation) -> dict[str, Any]:
    run = preparation.run
    return {
        "state": preparation.state,
        "reason": preparation.reason,
        "run_id": str(run.run_id) if run else None,
        "as_of": run.as_of.isoformat() if run else None,
    }
