"""The launcher's part of set-up: the platform's clients in our registry, with names that a URL can bear."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from include.foresight.database import PRIMARY
from launcher.instance import Instance
from launcher.platform_data import databases, register_clients, slug_for
from tests.support.installation import Installation


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Northwind Labs", "northwind_labs"),
        ("O'Brien & Сыновья", "obrien_synovia"),
        ("Müller—Straße", "muller_strasse"),
        ("  --  ", "client_7"),
        ("", "client_7"),
        ("A" * 80, "a" * 63),
        ("taken", "taken_7"),
        ("B" * 80, "b" * 61 + "_7"),
    ],
)
def test_a_slug_comes_from_the_name(name: str, slug: str):
    assert slug_for(7, name, {"taken", "b" * 63}) == slug


@pytest.fixture
def instance(installed: Installation, tmp_path: Path) -> Instance:
    made = Instance(folder=tmp_path, secrets={"app": installed.passwords.app})
    made.snapshot.parent.mkdir(parents=True)
    return made


def test_the_platforms_clients_are_registered_and_provisioned_once(
    installed: Installation, instance: Instance, client_ids
):
    first, second = next(client_ids), next(client_ids)
    installed.insert("clients", [{"id": first, "name": 'A "quoted" one'}, {"id": second, "name": "A quoted, one"}])
    register_clients(instance, installed.primary, installed.replica)
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update ml.clients set slug = 'chosen', active = false where client_id = %s", [first])
    register_clients(instance, installed.primary, installed.replica)
    rows = installed.rows(
        installed.primary, "select client_id, slug, name, clock, provisioned_at is not null from ml.clients order by 1"
    )
    assert rows == [
        (first, "chosen", 'A "quoted" one', "wall", True),
        (second, f"a_quoted_one_{second}", "A quoted, one", "wall", True),
    ]
    assert "chosen" not in json.dumps(json.loads(instance.snapshot.read_text()))
    assert f"a_quoted_one_{second}" in instance.snapshot.read_text()


def test_the_clock_of_exports_is_their_data(installed: Installation, instance: Instance, client_ids):
    client = next(client_ids)
    installed.insert("clients", {"id": client, "name": "Exported"})
    instance.data = "/exports"
    register_clients(instance, installed.primary, installed.replica)
    assert installed.rows(installed.primary, f"select clock from ml.clients where client_id = {client}") == [("data",)]


def test_the_sessions_are_the_applications(installed: Installation):
    with databases(installed.primary, installed.replica, installed.passwords.app).session(PRIMARY) as session:
        assert session.connection.execute("select current_user").fetchone() == ("foresight_app",)
