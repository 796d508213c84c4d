"""What Foresight adds to Airflow's own processes. The only plugin; the rest of this folder is imported from here."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from foresight_api import listener


class ForesightPlugin(AirflowPlugin):
    name = "foresight"
    listeners = [listener]
