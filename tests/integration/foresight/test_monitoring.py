"""Health of what serves: the stored answer is asked for again."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from include.foresight import model_specs, monitoring, pgml
from include.foresight.database import REPLICA, Databases
from include.foresight.monitoring import Health
from include.foresight.runs import Run
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import AS_OF, Bench, Model


@pytest.fixture(scope="module")
def bench(built: Bench) -> Bench:
    return built


@pytest.fixture(scope="module")
def model(bench: Bench) -> Model:
    return bench.fit("good", bench.night(state="success"))


@pytest.fixture
def served(bench: Bench, model: Model) -> Model:
    """The model under a uuid of its own: without any answer in the log."""
    again = Model(bench.trained(bench.night(state="success"), model.model_id), model.model_id)
    bench.serve(again)
    return again


def watch(bench: Bench) -> Health:
    run = bench.night()
    [health] = monitoring.watch(bench.databases, run, [bench.spec])
    assert recorded(bench, run) == (health.status, health.reason)
    # What has moved is test_drift's affair.
    return Health(health.model, health.status, health.reason)


def recorded(bench: Bench, run: Run) -> tuple[str, str]:
    [found] = bench.rows("status, reason", "model_health", "and run_id = %(run_id)s", run_id=run.run_id)
    return found


def log_answer(bench: Bench, model: Model, entity_id: int, signal: float, value: float | None = None) -> float:
    """A row of the log with the model's answer, or another; `noise` as an integer, as JSON may have it."""
    with bench.databases.session(REPLICA) as replica, replica.as_client(bench.client_id) as tx:
        answer = pgml.answer(tx, pgml.Scale("regression", "log1p"), model.model_id, [signal, 7.0])
    nights.insert(
        bench.installed.primary,
        "prediction_log",
        {
            "prediction_uuid": uuid4(),
            "client_id": bench.client_id,
            "model": bench.spec.model,
            "model_name": bench.project,
            "model_uuid": model.model_uuid,
            "rung": "linear",
            "entity": "issue",
            "entity_id": entity_id,
            "prediction_value": answer if value is None else value,
            # Order and company of the features do not matter.
            "input_features": Jsonb({"simple": 4.5, "noise": 7, "known_labels": 3, "signal": signal}),
            "feature_hash": bench.feature_hash,
            "response_time_ms": 1,
            "source": "nightly",
            "as_of": AS_OF,
        },
    )
    return answer


def test_a_model_that_answers_as_before_is_healthy(bench: Bench, served: Model):
    log_answer(bench, served, 41, 3.0)
    assert watch(bench) == Health("complexity", "healthy", "answers issue 41 as before")


def test_the_newest_answer_is_the_one_that_counts(bench: Bench, served: Model):
    log_answer(bench, served, 41, 3.0, value=12.5)
    log_answer(bench, served, 42, 5.0)
    assert watch(bench).reason == "answers issue 42 as before"


def test_a_model_without_an_answer_yet_is_healthy(bench: Bench, served: Model):
    assert watch(bench) == Health("complexity", "healthy", "the model is there; it has had nothing to answer yet")


def test_a_model_that_answers_otherwise_is_unhealthy(bench: Bench, served: Model):
    answer = log_answer(bench, served, 41, 3.0)
    with psycopg.connect(bench.installed.primary) as connection:
        connection.execute(
            "update ml.prediction_log set prediction_value = 9.75 where model_uuid = %s", [served.model_uuid]
        )
    health = watch(bench)
    assert health.status == "unhealthy"
    assert health.reason == f"issue 41 was answered with 9.75; the same features now give {answer:.6g}"


def test_a_small_difference_is_none(bench: Bench, served: Model):
    answer = log_answer(bench, served, 41, 3.0)
    for factor, status in {1 + 1e-6: "healthy", 1 + 1e-4: "unhealthy"}.items():
        with psycopg.connect(bench.installed.primary) as connection:
            connection.execute(
                "update ml.prediction_log set prediction_value = %s where model_uuid = %s",
                [answer * factor, served.model_uuid],
            )
        assert watch(bench).status == status


@pytest.mark.parametrize("answered", [True, False])
def test_a_missing_model_is_unhealthy(bench: Bench, model: Model, answered):
    """Whether or not it has ever answered."""
    lost = Model(bench.trained(bench.night(state="success"), 999_999_999), 999_999_999)
    if answered:
        log_answer(bench, Model(lost.model_uuid, model.model_id), 41, 3.0)
    bench.serve(lost)
    health = watch(bench)
    assert health.status == "unhealthy"
    assert health.reason.startswith(f"model {lost.model_uuid} is missing on its replica")


def test_a_model_of_other_features_is_unhealthy(bench: Bench, served: Model):
    """It would give its old answer again, and nobody asks it: the baseline answers."""
    log_answer(bench, served, 41, 3.0)
    bench.serve(served, feature_hash="of others")
    health = watch(bench)
    assert health.status == "unhealthy"
    assert health.reason.startswith(f"model {served.model_uuid} was trained on other features than today's")


def test_a_broken_model_is_unhealthy_and_the_others_are_looked_at(bench: Bench, installed: Installation):
    broken = bench.fit("fair", bench.night(state="success"))
    log_answer(bench, broken, 41, 3.0)
    bench.serve(broken)
    with psycopg.connect(installed.replica) as connection:
        connection.execute("update pgml.files set data = 'no model' where model_id = %s", [broken.model_id])
    # A session that has it in its cache would go on answering.
    fresh = Bench(installed, installed.databases, bench.client_id, bench.spec, bench.nights)
    run = fresh.night()
    found = monitoring.watch(fresh.databases, run, [bench.spec, model_specs.read("rework")])
    assert [(health.model, health.status) for health in found] == [
        ("complexity", "unhealthy"),
        ("rework", "unhealthy"),
    ]
    assert found[0].reason.startswith("the model does not answer: ")
    assert found[1].reason == "nothing serves: no night has come through yet"


def test_the_simple_rung_is_a_degraded_service(bench: Bench):
    bench.serve(None)
    assert watch(bench) == Health("complexity", "degraded", "the rolling median serves, no model does")


def test_a_repeated_watch_keeps_one_row(bench: Bench, served: Model):
    run = bench.night()
    monitoring.watch(bench.databases, run, [bench.spec])
    log_answer(bench, served, 41, 3.0)
    monitoring.watch(bench.databases, run, [bench.spec])
    assert recorded(bench, run) == ("healthy", "answers issue 41 as before")
    [(rung, model_uuid)] = bench.rows("rung, model_uuid", "model_health", "and run_id = %(id)s", id=run.run_id)
    assert (rung, model_uuid) == ("linear", served.model_uuid)


def test_a_replica_that_is_away_is_no_models_fault(bench: Bench, served: Model):
    """An error that passes: the task is tried again and nothing is written down."""
    log_answer(bench, served, 41, 3.0)
    run = bench.night()
    ended: list[int] = []

    def connect() -> psycopg.Connection:
        connection = nights.counted(bench.installed.app(REPLICA), lambda: None)

        def after() -> None:
            if connection.info.transaction_status and not ended:
                ended.append(connection.info.backend_pid)
                nights.terminate(bench.installed.replica, connection.info.backend_pid)

        connection.after = after
        return connection

    away = Databases(lambda conn_id: connect() if conn_id == REPLICA else bench.databases.connect(conn_id))
    with pytest.raises(psycopg.OperationalError):
        monitoring.watch(away, run, [bench.spec])
    assert ended
    assert bench.rows("1", "model_health", "and run_id = %(id)s", id=run.run_id) == []
