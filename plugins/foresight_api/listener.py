"""What happened to runs and DAG files, heard in the scheduler and the DAG processor.

The DAG's own failure callback tells of the same failures: each channel has gaps that the other has not, and the
record in ml.alerts lets only one of them speak. Every component of Airflow imports this module, so everything heavy
waits until there is something to tell.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    # Read here: the row belongs to the scheduler's session, which the thread must not touch.
    dag_id, run_id = dag_run.dag_id, dag_run.run_id

    def tell() -> None:
        from include.foresight import runtime

        runtime.run_failed(dag_id, run_id, msg)

    in_background(tell)


@hookimpl
def on_new_dag_import_error(filename: str, stacktrace: str) -> None:
    def tell() -> None:
        from include.foresight import runtime

        runtime.import_failed(filename, stacktrace)

    in_background(tell)


def in_background(tell: Callable[[], None]) -> threading.Thread:
    """A mail server that does not answer must not hold up the scheduler."""

    def guarded() -> None:
        try:
            tell()
        except Exception:
            log.exception("an alert could not be told")

    thread = threading.Thread(target=guarded, name="foresight-alert", daemon=True)
    thread.start()
    return thread
