"""All that is kept of one client's one model, for a page about it: what serves, how it was judged, where it comes from.

Read by whatever role a transaction is of. The fleet's may read the runs, judgements and promotions of every client, but
words that somebody wrote about rows of a client's (sentences of verdicts, reasons of failures) are left out for it:
`words=False`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.foresight import model_specs
from include.foresight.clients import Client
from include.foresight.database import Transaction
from include.foresight.errors import UnknownClient
from include.foresight.model_specs import ModelSpec

# A year of nights.
NIGHTS = 366
PROMOTIONS = 50
RUNS = 14
ANOMALIES = 20


@dataclass(frozen=True)
class Night:
    """One judgement. `served`, `simple`, `challenger`: errors, less is better. `binding` false: it could change
    nothing (a dry run, a run of the past)."""

    as_of: datetime.datetime
    decision: str
    passed: bool
    rows: int
    served: float | None
    simple: float | None
    challenger: float | None
    binding: bool
    criteria: Sequence[Mapping[str, Any]]
    scores: Mapping[str, Mapping[str, float | None]]
    sentence: str | None
    level: float | None


@dataclass(frozen=True)
class Dossier:
    """`serving`, `training` (of the model in service, else the newest), `health`, `asked` (the newest training that the
    watch has asked for): None where there is none yet."""

    client: Client
    spec: ModelSpec
    words: bool
    serving: Mapping[str, Any] | None
    training: Mapping[str, Any] | None
    newest: Mapping[str, Any] | None
    health: Mapping[str, Any] | None
    asked: Mapping[str, Any] | None
    nights: Sequence[Night]
    promotions: Sequence[Mapping[str, Any]]
    runs: Sequence[Mapping[str, Any]]
    checks: Sequence[Mapping[str, Any]]
    anomalies: Sequence[Mapping[str, Any]]

    @property
    def judged(self) -> list[Night]:
        """The judgements that tell of what serves."""
        return [night for night in self.nights if night.binding]


def read(tx: Transaction, client: Client, model: str, *, words: bool = True) -> Dossier:
    """Raises UnknownModel. `words` false: numbers and states only."""
    spec = model_specs.read(model).for_client(client.overrides)
    values = {"client_id": client.client_id, "model": model}
    serving = tx.one("dossier/serving", values)
    newest = tx.one("dossier/training", values | {"model_uuid": None})
    training = newest
    if serving is not None and serving["model_uuid"] is not None:
        training = tx.one("dossier/training", values | {"model_uuid": serving["model_uuid"]})
    return Dossier(
        client=client,
        spec=spec,
        words=words,
        serving=serving,
        training=_without(training, words, "reason", "why", "ladder"),
        newest=_without(newest, words, "reason", "why", "ladder"),
        health=_without(tx.one("dossier/health", values), words, "reason"),
        asked=_without(tx.one("dossier/asked", values), words, "reason"),
        nights=[_night(row, words) for row in tx.all("dossier/verdicts", values | {"nights": NIGHTS})],
        promotions=[
            _without(row, words, "reason") for row in tx.all("dossier/promotions", values | {"most": PROMOTIONS})
        ],
        runs=tx.all("dossier/runs", values | {"most": RUNS}),
        checks=tx.all("dossier/checks", values) if words else [],
        anomalies=tx.all("dossier/anomalies", values | {"most": ANOMALIES}) if words else [],
    )


def find(tx: Transaction, slug: str) -> Client:
    """The active client of that slug; raises UnknownClient, also where the role may not see it."""
    row = tx.one("clients/by_slug", {"slug": slug})
    if row is None or not row["active"] or row["provisioned_at"] is None:
        raise UnknownClient(f"there is no active client '{slug}'")
    return Client.of_row(row)


def _without(row: Mapping[str, Any] | None, words: bool, *names: str) -> Mapping[str, Any] | None:
    if row is None or words:
        return row
    return dict(row) | dict.fromkeys(names)


def _night(row: Mapping[str, Any], words: bool) -> Night:
    scores = row["scores"]

    def error(who: str) -> float | None:
        return (scores.get(who) or {}).get("error")

    served = {"promote": error("challenger"), "demote": error("simple")}.get(row["decision"])
    if row["decision"] == "keep":
        served = error("champion") if "champion" in scores else error("simple")
    criteria = row["criteria"]
    if not words:
        # A reason may name a project or a repository of the client's.
        criteria = [dict(one) | {"reason": None} for one in criteria]
    return Night(
        as_of=row["as_of"],
        decision=row["decision"],
        passed=row["passed"],
        rows=row["rows_judged"],
        served=served,
        simple=error("simple"),
        challenger=error("challenger"),
        binding=row["binding"],
        criteria=criteria,
        scores=scores,
        sentence=row["sentence"] if words else None,
        level=row["level"],
    )
