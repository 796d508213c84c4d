"""What trainings cost: a table of clients by models, with its sums."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from foresight_api.pages import wording
from include.foresight import model_specs
from include.foresight.overview import Cost


def view(costs: Sequence[Cost], since: datetime.datetime) -> dict[str, Any]:
    """What the template takes: one row per client, one column per model."""
    models = model_specs.names()
    by_client: dict[int, dict[str, Cost]] = defaultdict(dict)
    for cost in costs:
        by_client[cost.client_id][cost.model] = cost
    rows = []
    for of_model in by_client.values():
        first = next(iter(of_model.values()))
        rows.append(
            {
                "slug": first.slug,
                "name": first.name,
                "cells": [of_model[model] for model in models],
                "cpu_seconds": sum(cost.cpu_seconds for cost in of_model.values()),
                "trainings": sum(cost.trainings for cost in of_model.values()),
            }
        )
    rows.sort(key=lambda one: (-one["cpu_seconds"], one["slug"]))
    return {
        "since": since,
        "models": [model_specs.read(name) for name in models],
        "rows": rows,
        "sums": [sum(cost.cpu_seconds for cost in costs if cost.model == model) for model in models],
        "total": sum(cost.cpu_seconds for cost in costs),
        "trainings": sum(cost.trainings for cost in costs),
        "cpu": wording.seconds,
    }
