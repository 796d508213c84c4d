"""The prediction API within Airflow's API server: nobody gets in who is not let in."""

from __future__ import annotations

import tests.support.airflow_home  # noqa: F401  isort: skip

import pytest
from fastapi.testclient import TestClient


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
            for headers in ({}, {"Authorization": "Bearer nonsense"}):
                answer = TestClient(app).request(method, route.path, json={}, headers=headers)
                assert answer.status_code == 401, (method, route.path, headers, answer.text)


def test_a_person_who_acts_for_no_client_is_refused(app):
    answer = TestClient(app, headers={"Authorization": f"Bearer {token('admin')}"}).get("/models")
    assert answer.status_code == 403 and "'ann' acts for no client" in answer.json()["detail"]


def test_the_cookie_of_the_ui_is_a_login_too(app):
    answer = TestClient(app, cookies={"_token": token("viewer")}).get("/models")
    assert answer.status_code == 403


def test_airflow_mounts_it():
    from foresight_plugin import ForesightPlugin

    [mounted] = ForesightPlugin.fastapi_apps
    assert mounted["url_prefix"] == "/api/ml" and callable(mounted["app"])
