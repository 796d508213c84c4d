from __future__ import annotations

from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from launcher import clusters
from launcher.system import ServerUser, unreachable_parent


def test_the_replicas_server_finds_its_own_python_first_and_nothing_of_ours(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = clusters.server_environment(Path("/home/engine"))
    assert environment == {"LANG": "C.UTF-8", "PATH": "/home/engine/bin:/usr/bin:/bin", "OMP_NUM_THREADS": "1"}


def test_the_servers_listen_locally_and_ask_for_passwords():
    assert clusters.COMMON["listen_addresses"] == "127.0.0.1"
    assert clusters.COMMON["unix_socket_directories"] == ""
    assert clusters.COMMON["password_encryption"] == "scram-sha-256"
    assert clusters.SETTINGS["primary"]["wal_level"] == "logical"
    assert "max_slot_wal_keep_size" in clusters.SETTINGS["primary"]


def test_a_password_with_special_characters_survives_the_connection_string():
    user = ServerUser("me", 1, 1)
    cluster = clusters.Cluster("primary", Path("/x"), 21000, "it's \\ a pass", user, Path("/bin"))
    parts = conninfo_to_dict(cluster.conninfo("platform"))
    assert parts == {
        "host": "127.0.0.1", "port": "21000", "dbname": "platform", "user": "postgres", "password": "it's \\ a pass",
    }  # fmt: skip
    assert conninfo_to_dict(cluster.conninfo("platform", user="platform", password="y"))["user"] == "platform"


def test_a_home_that_the_servers_user_cannot_enter_is_found(tmp_path):
    stranger = ServerUser("nobody", 65534, 65534)
    closed = tmp_path / "closed"
    (closed / "instances").mkdir(parents=True)
    for folder in (*reversed(tmp_path.parents), tmp_path):
        if not folder.stat().st_mode & 0o001:
            assert unreachable_parent(closed, stranger) == folder  # pytest's own folder is closed to strangers
            return
    closed.chmod(0o700)
    assert unreachable_parent(closed / "instances", stranger) == closed
    closed.chmod(0o711)
    assert unreachable_parent(closed / "instances", stranger) is None


def test_a_cluster_stays_with_the_postgresql_that_made_it_while_that_is_installed(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    chosen = tmp_path / "postgresql" / "17" / "bin"
    assert clusters.binaries_for(data, chosen) == chosen  # not made yet
    (data / "PG_VERSION").write_text("15\n")
    assert clusters.binaries_for(data, chosen) == chosen  # its own is gone
    own = tmp_path / "postgresql" / "15" / "bin"
    own.mkdir(parents=True)
    (own / "postgres").touch()
    assert clusters.binaries_for(data, chosen) == own
