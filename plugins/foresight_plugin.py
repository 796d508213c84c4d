"""What Foresight adds to Airflow's own processes. The only plugin; the rest of this folder is imported from here."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from foresight_api import listener

log = logging.getLogger(__name__)


@cache
def prediction_api() -> list[dict[str, Any]]:
    """The prediction API, as a FastAPI app: of what is mounted Airflow starts and ends nothing else."""
    try:
        from foresight_api import mounted

        return [{"app": mounted.create(), "url_prefix": "/api/ml", "name": "Foresight predictions"}]
    except Exception:  # Airflow's own pages must come up without it
        log.exception("the prediction API cannot be mounted")
        return []


class MadeWhenRead:
    """All of Airflow loads plugins; its API server alone reads which apps there are."""

    def __get__(self, plugin: Any, kind: type) -> list[dict[str, Any]]:
        return prediction_api()


class ForesightPlugin(AirflowPlugin):
    name = "foresight"
    listeners = [listener]
    fastapi_apps = MadeWhenRead()
    # The pages in a frame of the UI. Without a slash in front: Airflow may stand below a path.
    external_views = [
        {
            "name": "Foresight",
            "href": "api/ml/pages",
            "destination": "nav",
            "url_route": "foresight",
        }
    ]
