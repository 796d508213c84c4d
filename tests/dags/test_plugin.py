"""What Airflow's own processes load of Foresight."""

from __future__ import annotations

import threading

import pytest

LOADED = """
import sys
before = set(sys.modules)
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
ours = [plugin.name for plugin in plugins if plugin.name == "foresight"]
listeners = [one.__name__ for plugin in plugins if plugin.name == "foresight" for one in plugin.listeners]
heavy = {"fastapi", "foresight_api.app", "pandas", "psycopg", "numpy", "requests", "smtplib"}
heavy |= {"include.foresight.runtime", "listener", "app"}
print(ours, listeners, errors, sorted(heavy & set(sys.modules)))
"""


def test_one_plugin_is_found_and_nothing_heavy_comes_with_it(in_a_new_process):
    """A file below plugins/ that Airflow found by itself would be registered under its bare name."""
    assert in_a_new_process(LOADED) == "['foresight'] ['foresight_api.listener'] {} []"


def test_a_failure_that_cannot_be_reported_hurts_nobody(caplog):
    from foresight_api import listener

    def report():
        raise RuntimeError("no runtime here")

    listener.in_background(report).join()
    assert "no runtime here" in caplog.text
    assert "foresight-alert" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def reported(monkeypatch) -> list[tuple]:
    """What the listener handed on, and in which thread."""
    from include.foresight import runtime

    calls: list[tuple] = []
    for name in ("run_failed", "import_failed"):
        monkeypatch.setattr(
            runtime, name, lambda *what, name=name: calls.append((name, *what, threading.current_thread().name))
        )
    return calls


def joined() -> None:
    for thread in threading.enumerate():
        if thread.name == "foresight-alert":
            thread.join()


def test_the_listener_hands_on_what_it_hears_in_a_thread_of_its_own(reported, monkeypatch):
    """The hooks are Airflow's by name; their caller, the scheduler, does not wait."""
    from types import SimpleNamespace

    from foresight_api import listener

    hold, real = threading.Event(), listener.in_background

    monkeypatch.setattr(listener, "in_background", lambda report: real(lambda: (hold.wait(10), report())))
    listener.on_dag_run_failed(SimpleNamespace(dag_id="nightly__acme", run_id="r"), "task_failure")
    listener.on_new_dag_import_error("dags/x.py", "Traceback")
    assert reported == [], "the hooks have returned already"
    hold.set()
    joined()
    assert sorted(reported) == [
        ("import_failed", "dags/x.py", "Traceback", "foresight-alert"),
        ("run_failed", "nightly__acme", "r", "task_failure", "foresight-alert"),
    ]


@pytest.fixture
def prediction_api():
    import foresight_plugin

    foresight_plugin.prediction_api.cache_clear()
    yield foresight_plugin.prediction_api
    foresight_plugin.prediction_api.cache_clear()


def test_the_prediction_api_is_made_once_when_the_api_server_reads_it(monkeypatch, prediction_api):
    from foresight_plugin import ForesightPlugin

    from foresight_api import mounted

    made = []
    monkeypatch.setattr(mounted, "create", lambda: made.append("app") or made[-1])
    assert made == []
    assert ForesightPlugin.fastapi_apps is ForesightPlugin.fastapi_apps
    assert made == ["app"] and ForesightPlugin.fastapi_apps[0]["app"] == "app"


def test_airflows_own_pages_come_up_without_a_prediction_api_that_cannot_be_made(monkeypatch, prediction_api, caplog):
    from foresight_plugin import ForesightPlugin

    from foresight_api import mounted

    monkeypatch.setattr(mounted, "create", lambda: 1 / 0)
    assert ForesightPlugin.fastapi_apps == []
    assert "cannot be mounted" in caplog.text


def test_the_pages_stand_in_the_navigation_below_airflows_own_path():
    from foresight_plugin import ForesightPlugin

    [view] = ForesightPlugin.external_views
    [api] = ForesightPlugin.fastapi_apps
    assert not view["href"].startswith("/") and f"/{view['href']}".startswith(f"{api['url_prefix']}/")
