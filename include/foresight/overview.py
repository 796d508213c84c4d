"""Every client's models in one list: what serves, how far it is off beside the simple rung, how it was found.

Read by whatever role a transaction is of: the fleet's sees every client, a client's its own. Numbers and states only,
no sentence of a verdict: these name rows of a client's.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from include.foresight import model_specs
from include.foresight.database import Transaction

# How far back costs are counted.
COST_DAYS = 30
# As many judgements as a trend is drawn from.
NIGHTS = 12


@dataclass(frozen=True)
class Judged:
    """What was off by how much when a night judged it: what served afterwards, and the simple rung. Less is better."""

    as_of: datetime.datetime
    served: float | None
    simple: float | None


@dataclass(frozen=True)
class Line:
    """One client's one model. `rung` None: nothing serves yet. `drifting`: columns that have moved; `warming_up`: too
    little was asked about to tell, None where no night has looked. `judged`: oldest first."""

    client_id: int
    slug: str
    name: str
    model: str
    predictions_enabled: bool
    rung: str | None
    version: int | None
    promoted_at: datetime.datetime | None
    status: str | None
    checked_at: datetime.datetime | None
    drifting: int
    warming_up: bool | None
    run_state: str | None
    run_as_of: datetime.datetime | None
    run_started_at: datetime.datetime | None
    judged: Sequence[Judged] = ()

    @property
    def error(self) -> float | None:
        return self.judged[-1].served if self.judged else None

    @property
    def simple(self) -> float | None:
        return self.judged[-1].simple if self.judged else None

    @property
    def gain(self) -> float | None:
        """How much less it errs than the simple rung, as a share of that one's error."""
        if self.error is None or not self.simple:
            return None
        return 1 - self.error / self.simple

    @property
    def trend(self) -> float | None:
        """How the error has changed since the first judgement of the list, as a share of that one."""
        known = [one.served for one in self.judged if one.served is not None]
        if len(known) < 2 or not known[0]:
            return None
        return known[-1] / known[0] - 1


@dataclass(frozen=True)
class Cost:
    """What a client's model has cost: `cpu_seconds` of the sessions that trained it, `seconds` on the clock."""

    client_id: int
    slug: str
    name: str
    model: str
    trainings: int
    cpu_seconds: float
    seconds: float


def costs_since() -> datetime.datetime:
    """From when on costs are counted."""
    return datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=COST_DAYS)


def costs(tx: Transaction, since: datetime.datetime) -> list[Cost]:
    """Of every active client that the role may see, by client and model."""
    rows = tx.all("overview/costs", {"models": list(model_specs.names()), "since": since})
    return [Cost(**row) for row in rows]


def read(tx: Transaction) -> list[Line]:
    """Every model of every active client that the role may see, by client and model."""
    rows = tx.all("overview/models", {"models": list(model_specs.names())})
    judged: dict[tuple[int, str], list[Judged]] = defaultdict(list)
    for row in tx.all("overview/errors", {"nights": NIGHTS}):
        judged[row["client_id"], row["model"]].append(Judged(row["as_of"], row["served"], row["simple"]))
    return [
        Line(
            client_id=row["client_id"],
            slug=row["slug"],
            name=row["name"],
            model=row["model"],
            predictions_enabled=row["ml_predictions_enabled"],
            rung=row["rung"],
            version=row["version"],
            promoted_at=row["promoted_at"],
            status=row["status"],
            checked_at=row["checked_at"],
            drifting=row["drifting"],
            warming_up=row["warming_up"],
            run_state=row["run_state"],
            run_as_of=row["run_as_of"],
            run_started_at=row["run_started_at"],
            judged=tuple(judged[row["client_id"], row["model"]]),
        )
        for row in rows
    ]
