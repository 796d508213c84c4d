"""How requests went, counted in the process that answered them.

With PROMETHEUS_MULTIPROC_DIR, which ./foresight serve sets, the processes of one server count together.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from foresight_api.errors import told_as

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_registry = CollectorRegistry()
SECONDS = Histogram(
    "foresight_request_seconds",
    "How long requests for predictions took, waiting included.",
    ("client", "model", "status"),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    registry=_registry,
)
ENTITIES = Counter(
    "foresight_entities", "Entities that answers were given about.", ("client", "model"), registry=_registry
)


@contextlib.contextmanager
def request(client: str, model: str) -> Iterator[None]:
    """Count one request, by the status of its answer."""
    began, status = time.monotonic(), 500
    try:
        yield
        status = 200
    except Exception as error:
        status, _ = told_as(error)
        raise
    finally:
        SECONDS.labels(client, model, status).observe(time.monotonic() - began)


def of_requests(clients: Collection[str]) -> Iterator[Metric]:
    """Of these clients (slugs) only: how much others ask is nobody's business."""
    registry = _registry
    if os.environ.get(FOLDER):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    for family in registry.collect():
        family.samples = [one for one in family.samples if one.labels.get("client") in clients]
        yield family
