"""Who acts for which client: allowed and refused on the command line, asked for on the replica."""

from __future__ import annotations

import dataclasses

import psycopg
import pytest
from typer.testing import CliRunner

from include.foresight import people
from include.foresight.database import PRIMARY, REPLICA
from include.foresight.errors import ConfigurationError, UnknownClient
from include.foresight.people import Principal
from launcher import cli
from tests.support.installation import Installation

ANN, VIEWERS = Principal("user", "ann"), Principal("role", "viewer")


@pytest.fixture(scope="module")
def world(installed: Installation) -> Installation:
    for client_id, slug in ((1, "acme"), (2, "obrien")):
        installed.add_client(client_id, slug=slug)
    return installed


@pytest.fixture
def nobody(world: Installation):
    yield
    with psycopg.connect(world.primary) as connection:
        connection.execute("delete from ml.client_people")


def acts_for(world: Installation, user: str, *roles: str, place: str = REPLICA) -> list[int]:
    world.catch_up()
    with world.databases.session(place) as session, session.as_fleet() as fleet:
        rows = fleet.all("clients/of_person", {"user": user, "roles": list(roles)})
        return [row["client_id"] for row in rows]


def test_users_and_roles(world: Installation, nobody: None):
    with world.databases.primary() as primary:
        people.allow(primary, ANN, ["acme"])
        people.allow(primary, ANN, ["acme", "obrien"])
        people.allow(primary, VIEWERS, ["obrien"])
        assert people.listed(primary) == [
            {"kind": "role", "principal": "viewer", "clients": ["obrien"]},
            {"kind": "user", "principal": "ann", "clients": ["acme", "obrien"]},
        ]
    assert acts_for(world, "ann") == [1, 2] == acts_for(world, "ann", place=PRIMARY)
    assert acts_for(world, "bob", "viewer", "op") == [2]
    # A user may have a role's name, and a role a user's.
    assert acts_for(world, "viewer", "ann") == [] and acts_for(world, "ANN") == []
    with world.databases.primary() as primary:
        people.refuse(primary, ANN, ["acme"])
    assert acts_for(world, "ann") == [2]


def test_a_mistake_changes_nothing(world: Installation, nobody: None):
    with world.databases.primary() as primary:
        with pytest.raises(UnknownClient, match="no client 'nobody'"):
            people.allow(primary, ANN, ["acme", "nobody"])
        assert people.listed(primary) == []
        people.allow(primary, ANN, ["acme"])
        with pytest.raises(UnknownClient, match="no client 'nobody': there are acme, obrien"):
            people.refuse(primary, ANN, ["nobody"])
        for principal, slugs in ((ANN, ["acme", "obrien"]), (Principal("role", "ann"), ["acme"])):
            with pytest.raises(ConfigurationError, match=f"'ann' does not act for client '{slugs[-1]}'"):
                people.refuse(primary, principal, slugs)
        assert [row["clients"] for row in people.listed(primary)] == [["acme"]]


@pytest.mark.parametrize("name", ["", " ", " ann", "ann\n", "a" * 256])
def test_what_is_no_name(name: str):
    with pytest.raises(ConfigurationError, match="is no name of a user"):
        Principal("user", name)
    assert dataclasses.replace(ANN, name="Jürgen O'Brien").name == "Jürgen O'Brien"


def test_on_the_command_line(world: Installation, nobody: None, monkeypatch: pytest.MonkeyPatch):
    def run(*command: str) -> str:
        done = CliRunner().invoke(cli.app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    place = psycopg.conninfo.conninfo_to_dict(world.app(PRIMARY))
    monkeypatch.setenv(
        "AIRFLOW_CONN_FORESIGHT_PRIMARY",
        "postgresql://{user}:{password}@/{dbname}?host={host}&port={port}".format(**place),
    )
    assert "acts for acme, obrien" in run("people", "allow", "ann", "--client", "acme", "--client", "obrien")
    run("people", "allow", "viewer", "--role", "--client", "acme")
    shown = run("people", "list")
    assert "ann" in shown and "acme, obrien" in shown and "role" in shown
    assert "no longer" in run("people", "refuse", "ann", "--client", "acme")
    assert acts_for(world, "ann") == [2] and acts_for(world, "bob", "viewer") == [1]
    with pytest.raises(ConfigurationError, match="does not act"):
        run("people", "refuse", "ann", "--client", "acme")
    key = run("key", "issue", "etl", "--client", "acme").strip()
    assert key.startswith("fsk_") and key.split("_")[1] in run("key", "list")
