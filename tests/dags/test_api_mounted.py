"""The prediction API within Airflow's API server: nobody gets in who is not let in."""

from __future__ import annotations

import tests.support.airflow_home  # noqa: F401  isort: skip

import pytest
from fastapi.testclient import TestClient

from tests.support.callers import OPEN


@pytest.fixture(scope="module")
def app():
    from airflow.utils import db

    from foresight_api.app import create_app
    from foresight_api.mounted import person

    db.initdb()

    class Nobody:
        def clients_of_person(self, name: str, roles: list[str]) -> list[int]:
            return []

    from airflow.api_fastapi.app import create_auth_manager

    create_auth_manager().init()
    made = create_app(lambda: Nobody(), person=person)
    return made


def token(role: str) -> str:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role=role))


def test_no_route_is_open(app):
    for route in app.routes:
        for method in getattr(route, "methods", None) or ():
            if route.path in OPEN:
                continue
            for headers in ({}, {"Authorization": "Bearer nonsense"}):
                answer = TestClient(app).request(method, route.path, json={}, headers=headers)
                assert answer.status_code == 401, (method, route.path, headers, answer.text)
    assert {route.path for route in app.routes} > OPEN


def test_a_person_who_acts_for_no_client_is_refused(app):
    answer = TestClient(app, headers={"Authorization": f"Bearer {token('admin')}"}).get("/models")
    assert answer.status_code == 403 and "'ann' acts for no client" in answer.json()["detail"]


def test_the_cookie_of_the_ui_is_a_login_too(app):
    answer = TestClient(app, cookies={"_token": token("viewer")}).get("/models")
    assert answer.status_code == 403


def test_airflow_mounts_it_and_ends_what_it_has_started(tmp_path, monkeypatch):
    """With Airflow's own lifespan, that of its API server. Requests start the service; the server's end ends it."""
    from airflow import plugins_manager
    from airflow.api_fastapi.app import lifespan
    from fastapi import FastAPI

    monkeypatch.setenv("FORESIGHT_JOURNAL", str(tmp_path))
    plugins_manager.get_fastapi_plugins.cache_clear()
    [mounted] = [one for one in plugins_manager.get_fastapi_plugins()[0] if one["url_prefix"] == "/api/ml"]
    server = FastAPI(lifespan=lifespan)
    server.mount(mounted["url_prefix"], mounted["app"])
    with TestClient(server) as caller:
        assert caller.get("/api/ml/alive").status_code == 200
        service = mounted["app"].state.service.service
        assert list(tmp_path.glob("*.journal")) == [service.journal.path]
        assert service.journal._thread.is_alive()
    assert not service.journal._thread.is_alive() and list(tmp_path.iterdir()) == []
