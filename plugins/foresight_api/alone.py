"""The app without Airflow, for uvicorn: connections and the journal's folder come from the environment."""

from __future__ import annotations

from fastapi import FastAPI

from foresight_api.app import create_app
from foresight_api.service import Service
from include.foresight import settings


def create() -> FastAPI:
    """Services only: where there is no Airflow there are no people."""
    return create_app(lambda: Service.start(settings.conninfo, settings.journal_folder()), prefixes=("/api/ml",))
