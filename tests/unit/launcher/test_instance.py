from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from launcher import instance as instances
from launcher.errors import LauncherError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FORESIGHT_HOME", str(tmp_path))
    return tmp_path


def test_ports_are_kept_while_nobody_else_has_them():
    first = instances.choose_ports({}, set(), "seed", free=lambda port: True)
    assert len(set(first.values())) == len(instances.PORTS)
    assert instances.choose_ports(first, set(), "another seed", free=lambda port: True) == first


def test_a_port_that_a_stranger_took_is_replaced_by_one_that_is_free_and_nobody_elses():
    kept = instances.choose_ports({}, set(), "seed", free=lambda port: True)
    stolen = kept["api"]
    chosen = instances.choose_ports(kept, set(), "seed", free=lambda port: port != stolen)
    assert chosen["api"] != stolen
    assert len(set(chosen.values())) == len(instances.PORTS)
    assert {name: chosen[name] for name in kept if name != "api"} == {
        name: kept[name] for name in kept if name != "api"
    }


def test_a_port_that_our_own_running_server_holds_is_not_replaced():
    kept = instances.choose_ports({}, set(), "seed", free=lambda port: True)
    busy = kept["primary"]
    assert instances.choose_ports(kept, {"primary"}, "seed", free=lambda port: port != busy) == kept


def test_no_free_port_is_said():
    with pytest.raises(LauncherError, match="no free port between"):
        instances.choose_ports({}, set(), "seed", free=lambda port: False)


def test_ports_lie_below_those_of_outgoing_connections():
    chosen = instances.choose_ports({}, set(), "any", free=lambda port: True)
    assert all(1024 < port < 32768 for port in chosen.values())


def test_a_home_behind_a_symbolic_link_is_named_without_it(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("FORESIGHT_HOME", str(tmp_path / "link" / "home"))
    assert instances.home() == tmp_path.resolve() / "real" / "home"


def test_the_state_is_readable_by_its_owner_only_and_comes_back_as_it_was(home):
    made = instances.load_or_create("demo", None)
    made.ports = {"primary": 21001}
    made.mark("airflow_database", "3.3.2")
    file = home / "instances" / "demo" / "instance.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert instances.load("demo") == made
    assert set(json.loads(file.read_text())["secrets"]) == set(instances.SECRETS)


def test_two_instances_share_no_password(home):
    one, other = instances.load_or_create("one", None), instances.load_or_create("other", None)
    assert not set(one.secrets.values()) & set(other.secrets.values())


def test_secrets_are_as_long_as_their_readers_want():
    made = instances.generated_secrets()
    assert len(made["jwt"]) >= 64  # HS512
    assert len(made["fernet"]) == 44  # 32 bytes in base64
    assert min(len(secret) for secret in made.values()) >= 20


def test_an_instance_keeps_the_data_it_was_made_with(home, tmp_path):
    instances.load_or_create("mine", None)
    with pytest.raises(LauncherError, match="holds the demo data, not .*exports.*clean --instance mine --yes"):
        instances.load_or_create("mine", tmp_path / "exports")


def test_exports_of_one_folder_have_one_instance_and_two_folders_of_one_name_have_two():
    one, other = Path("/a/Data Exports"), Path("/b/Data Exports")
    assert instances.name_for(one) == instances.name_for(one) != instances.name_for(other)
    assert instances.NAME.match(instances.name_for(one))
    assert instances.name_for(None) == instances.DEMO


@pytest.mark.parametrize("name", ["", "../x", "Upper", "a b", "x" * 41, "-x"])
def test_a_name_that_could_leave_the_folder_is_refused(home, name):
    with pytest.raises(LauncherError, match="cannot name an instance"):
        instances.load_or_create(name, None)


def test_an_unknown_instance_is_answered_with_the_known_ones(home):
    instances.load_or_create("demo", None)
    with pytest.raises(LauncherError, match=r"no instance 'acme' \(there are: demo\)"):
        instances.load("acme")


def test_the_commands_that_look_mean_the_instance_of_the_last_run(home):
    assert instances.latest() == instances.DEMO
    instances.load_or_create("demo", None)
    other = instances.load_or_create("other", None)
    assert instances.latest() == "demo"
    instances.remember_as_latest(other)
    assert instances.latest() == "other"
    instances.destroy(other)
    assert instances.latest() == "demo"


def test_two_commands_cannot_change_one_instance_at_once(home):
    one = instances.load_or_create("demo", None)
    with instances.locked(one):
        with pytest.raises(LauncherError, match=r"'demo' is in use by process \d+"), instances.locked(one):
            pass
    with instances.locked(one):
        pass
