"""The PostgresML SQL API as typed calls, through the gateway that both engines have (sql/gateway): the only caller of
`ml_pgml.*`, and of what only our own `pgml` can do. Valid on PostgresML 2.10 and on our own pgml.

PostgresML is called defensively (docs/pgml-compatibility.md): one call per transaction and nothing after it that can
fail, models by id, every argument cast, our own order of rows with `test_sampling => 'last'`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from include.foresight.database import Databases, Session, Transaction, message
from include.foresight.errors import FitCancelled, FitTimedOut
from include.foresight.guard import Guard
from include.foresight.sql import statement

# After this many seconds over its limit a fit that does not listen to a cancel is ended with its backend.
GRACE = 10.0

# What PostgresML's Python runtime imports before it trains whatever algorithm.
PACKAGES = ("sklearn", "xgboost", "lightgbm", "catboost", "numpy")

# The label's name in the relation tells for good how a model has learned it: as its spec says, or relative to the
# simple rung, as a log of the ratio; and then which values its answers are taken to, where the label has few.
LABEL, RELATIVE = "label", "log_ratio"
LONGEST_NAME = 63


def relative_name(steps: Sequence[float] = ()) -> str | None:
    """The label's name: log_ratio, or log_ratio__0p5_1_2. None: no name is long enough for so many steps."""
    if not steps:
        return RELATIVE
    name = f"{RELATIVE}__{'_'.join(f'{step:g}' for step in steps)}".replace(".", "p")
    plain = all(0 <= step < 100_000 and float(f"{step:g}") == step for step in steps)
    return name if plain and len(name) <= LONGEST_NAME else None


@dataclass(frozen=True)
class Trained:
    """A stored model. `metrics` are pgml's own, on the last rows of the relation; `seconds` of the whole call."""

    model_id: int
    metrics: dict[str, Any]
    seconds: float


def train(
    databases: Databases,
    conn_id: str,
    client_id: int,
    *,
    project: str,
    task: str,
    relation: str,
    algorithm: str,
    hyperparams: Mapping[str, Any],
    test_rows: int,
    limit: float,
    session: Session,
    label: str = LABEL,
) -> Trained:
    """Train on the relation (training rows first) in `session`, as the client. `label`: the column that is learned.

    Raises FitTimedOut when it took longer than `limit` seconds, FitCancelled when somebody else cancelled it before,
    and what the server refused as psycopg.Error.
    """
    values = {
        "project": project,
        "task": task,
        "relation": relation,
        "algorithm": algorithm,
        "hyperparams": Jsonb(dict(hyperparams)),
        "test_size": float(test_rows),
        "label": label,
    }
    what = f"training of {project} with {algorithm}"
    timed_out = FitTimedOut(f"{what} took longer than its limit of {limit:g} s and was ended")
    began = time.monotonic()
    guard = Guard(databases, conn_id, session, statement("guard/terminate"), limit + GRACE)
    try:
        with session.as_client(client_id, timeout=limit) as tx:
            # Left before the commit: a backend that is ended has stored nothing, and one that has stored is not ended.
            with guard:
                model_id = tx.one("pgml/train", values)["id"]
            if guard.signalled:
                raise timed_out
    except psycopg.Error as error:
        seconds = time.monotonic() - began
        if guard.signalled:
            raise timed_out from error
        if isinstance(error, psycopg.errors.QueryCanceled):
            # The server's own timeout cannot come before the limit.
            if seconds >= limit:
                raise timed_out from error
            raise FitCancelled(
                f"{what} was cancelled on the server after {seconds:.0f} s, before its limit of {limit:g} s: "
                "by an administrator or another session"
            ) from error
        raise
    finally:
        if guard.signalled:
            session.connection.close()
    seconds = time.monotonic() - began
    with session.as_client(client_id) as tx:
        metrics = tx.one("pgml/metrics", {"model_id": model_id})["metrics"]
    return Trained(model_id, metrics or {}, seconds)


@dataclass(frozen=True)
class Scale:
    """How a model answers: its task, and the scale on which it has learned its label."""

    task: str
    target: str

    @property
    def label(self) -> sql.SQL:
        """The label of a training table as pgml learns it. Classes are whole numbers to PostgresML."""
        return sql.SQL("label::integer") if self.task == "classification" else LEARNED[self.target]

    @staticmethod
    def relative_label(share: float) -> sql.Composable:
        """How far the label is from the simple rung's answer; a `share` under 1 makes a model more careful."""
        return sql.SQL("{} * (ln(1 + label) - ln(1 + simple))").format(sql.Literal(share))

    @property
    def probabilities(self) -> bool:
        """Whether a model answers with probabilities, not with values."""
        return self.task == "classification"

    @property
    def undone(self) -> sql.SQL:
        """A column `answer` of the model on the scale that people read."""
        return UNDONE[self.target]


LEARNED = {"identity": sql.SQL("label"), "log1p": sql.SQL("ln(1 + label)")}
# No more than twentyfold: a row like none before must not get an answer like none before.
RELATIVE_UNDONE = sql.SQL("greatest((1 + simple) * exp(greatest(least(answer, 3), -3)) - 1, 0)")
UNDONE = {"identity": sql.SQL("answer"), "log1p": sql.SQL("greatest(exp(least(answer, 100)) - 1, 0)")}


def predictions(tx: Transaction, scale: Scale, model_id: int, rows: str, features: Sequence[str]) -> list[float]:
    """The model's values, or probabilities of 1, for the rows of a relation in the order of its column `position`."""
    found = tx.all(
        "pgml/predictions",
        {"model_id": model_id, "relative": RELATIVE, "probabilities": scale.probabilities},
        undone=scale.undone,
        relative=RELATIVE_UNDONE,
        rows=rows,
        features=_listed(features),
    )
    return [row["value"] for row in found]


def answer_scored(tx: Transaction, scale: Scale, model_id: int, features: Sequence[str]) -> None:
    """Make the temporary table `answered` (entity_id, value) from the temporary table `scored`."""
    tx.run(
        "pgml/answer_scored",
        {"model_id": model_id, "relative": RELATIVE, "probabilities": scale.probabilities},
        undone=scale.undone,
        relative=RELATIVE_UNDONE,
        features=_listed(features),
    )


def answer(
    tx: Transaction, scale: Scale, model_id: int, features: Sequence[float], simple: float | None = None
) -> float:
    """One row, one value. `simple`: the simple rung's answer, which a model that has learned relative to it needs."""
    values = {
        "model_id": model_id,
        "features": [float(value) for value in features],
        "simple": simple,
        "relative": RELATIVE,
        "probabilities": scale.probabilities,
    }
    return tx.one("pgml/answer", values, undone=scale.undone, relative=RELATIVE_UNDONE)["value"]


def explain(tx: Transaction, model_id: int, rows: Sequence[Sequence[float]]) -> list[dict[str, float]]:
    """Each feature's share in the answer to each row, in the order of the rows, by one query; empty where the engine or
    the model cannot tell."""
    if not rows or not is_ours(version(tx)):
        return []
    values = {
        "model_id": model_id,
        "features": [float(value) for row in rows for value in row],
        "width": len(rows[0]),
    }
    try:
        with tx.savepoint():
            found = tx.all("pgml/explain", values)
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFunction):
        return []
    shares: list[dict[str, float]] = [{} for _ in rows]
    for one in found:
        shares[one["place"] - 1][one["feature"]] = one["contribution"]
    return shares


def deploy(session: Session, client_id: int, model_id: int) -> None:
    """Mark the model as deployed, for people who look at pgml.deployed_models. What is served does not depend on it."""
    with session.as_client(client_id) as tx:
        tx.run("pgml/deploy", {"model_id": model_id})


def deployed(tx: Transaction, project: str) -> int | None:
    return tx.one("pgml/deployed", {"project": project})["id"]


def exists(tx: Transaction, model_id: int, project: str) -> bool:
    """Whether the project has that model, trained to the end."""
    return tx.one("pgml/exists", {"model_id": model_id, "project": project})["there"]


def lineage(tx: Transaction, model_id: int) -> dict[str, Any] | None:
    """Where a model comes from: snapshot_id, relation_name, snapshot_at, trained_at."""
    return tx.one("pgml/lineage", {"model_id": model_id})


def forget(tx: Transaction, projects: Sequence[str], keep: Sequence[int], newest: int) -> int:
    """Delete models of these projects but for `keep` and the newest few of each; how many."""
    return tx.one("pgml/forget", {"projects": list(projects), "keep": list(keep), "newest": newest})["gone"]


def drop(tx: Transaction, model_ids: Sequence[int]) -> None:
    """Delete models that are never to serve."""
    tx.run("pgml/drop_models", {"ids": list(model_ids)})


def version(tx: Transaction) -> str:
    """PostgresML answers with its release, and a commit in brackets; ours adds its own release behind a plus sign."""
    return tx.one("pgml/version")["version"]


def missing_packages(tx: Transaction) -> dict[str, str]:
    """By name, why a Python package that PostgresML needs for linear models cannot be imported in the server; empty on
    our own engine. For a role that may use PostgresML itself, as set-up's login may."""
    if is_ours(version(tx)):
        return {}
    reasons = {}
    for name in PACKAGES:
        try:
            with tx.savepoint():
                tx.one("pgml/package", {"name": name})
        except psycopg.Error as error:
            reasons[name] = message(error)
    return reasons


@dataclass(frozen=True)
class Used:
    """What a session's process has used so far: seconds of processor time, and bytes of memory at most."""

    cpu_seconds: float
    peak_bytes: int


def used(tx: Transaction, *, anew: bool = False) -> Used | None:
    """None where the engine cannot tell. `anew`: memory is watched from now on."""
    return Used(**tx.one("pgml/used", {"anew": anew})) if tx.one("pgml/has_meters")["there"] else None


def is_ours(version: str) -> bool:
    return "+pgml_engine" in version


def accepted(hyperparams: Mapping[str, Any], ours: bool) -> dict[str, Any]:
    """What of these the engine takes. PostgresML's trees begin at a base_score of 0.5 and refuse its name, and know
    objectives of squared errors only."""
    unknown = set() if ours else {"base_score", "objective"}
    return {name: value for name, value in hyperparams.items() if name not in unknown}


def _listed(features: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, features))
