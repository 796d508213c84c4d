"""Real servers: they come up, they go down, and nobody else is harmed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest

from launcher import clusters, setup
from launcher import instance as instances
from launcher.errors import LauncherError
from launcher.processes import lives, wait_until


@pytest.fixture
def instance(monkeypatch):
    """An instance with ports, in a home that the servers' user can reach. Whatever runs at the end is stopped."""
    base = Path(os.environ["FORESIGHT_HOME"]) / "tests"
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as home:
        Path(home).chmod(0o755)
        monkeypatch.setenv("FORESIGHT_HOME", home)
        made = instances.load_or_create("lab", None)
        setup.assign_ports(made)
        try:
            yield made
        finally:
            setup.stop(made)


@pytest.fixture
def stranger():
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


def test_a_cluster_asks_for_its_password_and_listens_locally(instance):
    setup.cluster_with_database(instance, "primary")
    primary = clusters.of(instance).primary
    as_platform = primary.conninfo(setup.PLATFORM, user="platform", password=instance.secrets["platform"])
    with psycopg.connect(as_platform) as connection:
        connection.execute("create table public.things (id integer)")  # its database: it may make tables
        role = connection.execute(
            "select rolsuper, rolcreaterole, rolbypassrls, rolreplication from pg_roles where rolname = current_user"
        ).fetchone()
        assert role == (False, False, False, False)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(primary.conninfo(user="platform", password="guessed"))
    addresses = {one.laddr.ip for one in primary.servers()[0].net_connections("tcp") if one.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}
    assert all(server.uids().real == primary.owner.uid != 0 for server in primary.servers())


def test_stop_leaves_no_process_and_the_data_are_there_at_the_next_start(instance):
    setup.cluster_with_database(instance, "replica")
    replica = clusters.of(instance).replica
    with psycopg.connect(replica.conninfo(setup.PLATFORM), autocommit=True) as connection:
        connection.execute("create table kept as select 7 as value")
    processes = replica.servers()
    setup.stop(instance)
    assert not any(lives(process) for process in processes)
    assert not replica.running
    setup.cluster_with_database(instance, "replica")
    with psycopg.connect(replica.conninfo(setup.PLATFORM)) as connection:
        assert connection.execute("select value from kept").fetchone() == (7,)


def test_a_stale_pid_file_neither_stops_the_start_nor_kills_a_stranger(instance, stranger):
    setup.cluster_with_database(instance, "metadata")
    metadata = clusters.of(instance).metadata
    for process in metadata.servers():
        with contextlib.suppress(psutil.NoSuchProcess):  # children end by themselves when the postmaster is gone
            process.kill()
    assert wait_until(lambda: not metadata.running, 60)
    pid_file = metadata.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")

    assert not metadata.running
    metadata.stop()
    assert stranger.poll() is None
    metadata.start()
    with psycopg.connect(metadata.conninfo()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert stranger.poll() is None


def test_a_server_that_does_not_answer_is_ended_with_its_children(instance):
    setup.cluster_with_database(instance, "primary")
    primary = clusters.of(instance).primary
    processes = primary.servers()
    processes[0].send_signal(signal.SIGSTOP)
    primary.stop(patience=1)
    assert not any(lives(process) for process in processes)


def test_a_failure_stops_what_it_started_and_leaves_what_ran(instance):
    setup.cluster_with_database(instance, "primary")
    with pytest.raises(ZeroDivisionError), setup.undone_on_failure(instance):
        setup.cluster_with_database(instance, "metadata")
        assert clusters.of(instance).metadata.running
        1 / 0  # noqa: B018
    assert clusters.of(instance).primary.running
    assert not clusters.of(instance).metadata.running


def test_an_initdb_that_fails_shows_what_it_said_and_can_be_tried_again(instance):
    primary = clusters.of(instance).primary
    with pytest.raises(LauncherError, match=r"initdb of the primary cluster failed(.|\n)*password file .* is empty"):
        replace(primary, password="").create()
    primary.create()
    primary.start()
    assert primary.running


def test_a_cluster_of_a_postgresql_that_is_gone_says_what_to_do(instance):
    primary = clusters.of(instance).primary
    primary.create()
    (primary.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(LauncherError, match=r"made by PostgreSQL 9, .* only \d+: install postgresql-9 and(.|\n)*clean"):
        clusters.of(instance).primary.start()


def test_a_port_that_a_stranger_holds_is_given_up(instance):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", instance.ports["metadata"]))
        taken.listen()
        before = dict(instance.ports)
        setup.cluster_with_database(instance, "primary")
        setup.assign_ports(instance)
    assert instance.ports["metadata"] != before["metadata"]
    assert instance.ports["primary"] == before["primary"]
