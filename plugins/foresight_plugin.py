"""What Foresight adds to Airflow's own processes. The only plugin; the rest of this folder is imported from here."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from foresight_api import listener


class PredictionApi:
    """The prediction API, made when it is first asked: all of Airflow loads plugins, its API server alone answers."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.app is None:
            from foresight_api import mounted

            self.app = mounted.create()
        await self.app(scope, receive, send)


class ForesightPlugin(AirflowPlugin):
    name = "foresight"
    listeners = [listener]
    fastapi_apps = [{"app": PredictionApi(), "url_prefix": "/api/ml", "name": "Foresight predictions"}]
    # The pages in a frame of the UI. Without a slash in front: Airflow may stand below a path.
    external_views = [
        {
            "name": "Foresight",
            "href": "api/ml/pages",
            "destination": "nav",
            "url_route": "foresight",
        }
    ]
