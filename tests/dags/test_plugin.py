"""What Airflow's own processes load of Foresight."""

from __future__ import annotations

import threading

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


def test_an_alert_that_cannot_be_told_hurts_nobody(caplog):
    from foresight_api import listener

    def tell():
        raise RuntimeError("no runtime here")

    listener.in_background(tell).join()
    assert "no runtime here" in caplog.text
    assert "foresight-alert" not in {thread.name for thread in threading.enumerate()}
