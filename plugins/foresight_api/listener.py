"""What happened to runs and DAG files, heard in the scheduler and the DAG processor.

The DAG's own failure callback reports the same failures: each has gaps that the other has not, and the outbox sends one
message. Every component of Airflow imports this module, so everything heavy waits until there is something to report.
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

    def report() -> None:
        from include.foresight import runtime

        runtime.run_failed(dag_id, run_id, msg)

    in_background(report)


@hookimpl
def on_new_dag_import_error(filename: str, stacktrace: str) -> None:
    def report() -> None:
        from include.foresight import runtime

        runtime.import_failed(filename, stacktrace)

    in_background(report)


def in_background(report: Callable[[], None]) -> threading.Thread:
    """A mail server that does not answer must not hold up the scheduler."""

    def guarded() -> None:
        try:
            report()
        except Exception:
            log.exception("a failure could not be reported")

    thread = threading.Thread(target=guarded, name="foresight-alert", daemon=True)
    thread.start()
    return thread
