"""How the models are, as Prometheus reads it: numbers and states, no sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, StateSetMetricFamily

from include.foresight import overview, replication
from include.foresight.database import Databases, Transaction
from include.foresight.monitoring import DEGRADED, HEALTHY, UNHEALTHY
from include.foresight.overview import COST_DAYS, Cost, Line
from include.foresight.rungs import BOOSTED, LINEAR

CONTENT_TYPE = CONTENT_TYPE_LATEST
STATUSES = (HEALTHY, DEGRADED, UNHEALTHY)
OF_A_MODEL = ("client", "model")


def text(families: Iterable[Metric]) -> bytes:
    """In Prometheus' text format."""
    return generate_latest(_Collected(families))


class _Collected:
    """What the library takes for a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def of_models(lines: Sequence[Line]) -> list[Metric]:
    """What serves, how it was found and judged, and the last night, by client and model."""
    error = GaugeMetricFamily(
        "foresight_model_error",
        "Error at the last judgement, as the gate measures it, of what serves and of the simple rung.",
        labels=(*OF_A_MODEL, "of"),
    )
    status = StateSetMetricFamily("foresight_model_status", "How the last night found the model.", labels=OF_A_MODEL)
    serving = _of_a_model("foresight_model_serving", "Whether a trained model serves (1) or the simple rung (0).")
    version = _of_a_model("foresight_model_version", "How often what serves has changed.")
    drifting = _of_a_model("foresight_model_drifting_columns", "Features, answers and labels that have moved.")
    checked = _of_a_model("foresight_model_checked_timestamp_seconds", "When a night has looked at the model last.")
    began = GaugeMetricFamily(
        "foresight_night_started_timestamp_seconds", "When the last night began.", labels=("client",)
    )
    state = GaugeMetricFamily(
        "foresight_night_state", "1 for the state that the last night is in.", labels=("client", "state")
    )
    for line in lines:
        labels = (line.slug, line.model)
        for of, value in (("served", line.error), ("simple", line.simple)):
            if value is not None:
                error.add_metric((*labels, of), value)
        if line.status is not None:
            status.add_metric(labels, {word: word == line.status for word in STATUSES})
        if line.checked_at is not None:
            checked.add_metric(labels, line.checked_at.timestamp())
            drifting.add_metric(labels, line.drifting)
        if line.rung is not None:
            serving.add_metric(labels, line.rung in (BOOSTED, LINEAR))
            version.add_metric(labels, line.version or 0)
    # A client's last run is the newest that was about any of its models.
    last = sorted((line for line in lines if line.run_started_at is not None), key=lambda line: line.run_started_at)
    for line in {line.slug: line for line in last}.values():
        began.add_metric((line.slug,), line.run_started_at.timestamp())
        state.add_metric((line.slug, line.run_state), 1)
    return [error, status, serving, version, drifting, checked, began, state]


def of_costs(costs: Sequence[Cost]) -> list[Metric]:
    """What trainings have cost, by client and model, of the last COST_DAYS."""
    spent = _of_a_model(
        "foresight_training_processor_seconds", f"Processor time of the trainings of the last {COST_DAYS} days."
    )
    trainings = _of_a_model("foresight_trainings", f"Trainings of the last {COST_DAYS} days.")
    for cost in costs:
        spent.add_metric((cost.slug, cost.model), cost.cpu_seconds)
        trainings.add_metric((cost.slug, cost.model), cost.trainings)
    return [spent, trainings]


def of_fleet(databases: Databases) -> list[Metric]:
    """Of every client, and of the replicas' slots."""
    with databases.primary() as primary, primary.as_fleet() as fleet:
        costs = overview.costs(fleet, overview.costs_since())
        return [*of_models(overview.read(fleet)), *of_costs(costs), *_of_slots(fleet)]


def gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _of_slots(fleet: Transaction) -> list[Metric]:
    behind = GaugeMetricFamily(
        "foresight_slot_behind_bytes", "The primary's log that a replica has not got.", labels=("slot",)
    )
    kept = GaugeMetricFamily("foresight_slot_kept_bytes", "The primary's log that is kept for it.", labels=("slot",))
    active = GaugeMetricFamily("foresight_slot_active", "Whether somebody reads it.", labels=("slot",))
    for slot in replication.slots(fleet):
        labels = (slot["slot"],)
        active.add_metric(labels, slot["active"])
        for family, name in ((behind, "bytes_behind"), (kept, "bytes_kept")):
            if slot[name] is not None:
                family.add_metric(labels, float(slot[name]))
    return [behind, kept, active]


def _of_a_model(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=OF_A_MODEL)
