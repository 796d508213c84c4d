"""The rollback from its form: what it asks for, what it passes on, and that it is never done twice."""

from __future__ import annotations

import psycopg
import pytest
from airflow.sdk.exceptions import ParamValidationError

from include.foresight import promotion, runtime
from include.foresight.promotion import NothingToRestore, Restored

# Of the in-process API, which Airflow makes with Starlette's test client.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")

FORM = {"client": "acme", "model": "rework", "to_version": 3, "reason": "too many false alarms"}


@pytest.fixture
def dag(bag):
    return bag.dags["rollback"]


@pytest.fixture
def asked(monkeypatch, metadata_database):
    """Every rollback that was asked for; `does` replaces what it does."""
    calls, does = [], []

    def stand_in(databases, slug, model, **options):
        calls.append((slug, model, options))
        if does:
            raise does[0]
        return Restored(model, 5, 3, "boosted", None, "acme/rework: serves again")

    monkeypatch.setattr(promotion, "rollback", stand_in)
    return calls, does


def test_the_form_asks_for_client_and_model_and_may_name_a_version(dag):
    assert list(dag.params) == ["client", "model", "to_version", "reason"]
    assert dag.params.get_param("model").schema["enum"] == ["", *runtime.model_names()]
    assert dag.schedule is None
    for name in dag.params:
        assert name in dag.doc_md


@pytest.mark.parametrize(
    "wrong",
    [{"client": "No Slug"}, {"model": "nonsense"}, {"to_version": 0}, {"to_version": "3"}, {"reason": ""}],
    ids=str,
)
def test_a_wrong_form_is_refused(dag, wrong):
    with pytest.raises(ParamValidationError):
        dag.params.update(FORM | wrong)
        dag.params.validate()


def test_what_the_form_says_is_done_in_the_name_of_who_triggered_it(dag, asked):
    calls, _ = asked
    run = dag.test(run_conf=FORM)
    assert run.state == "success"
    [(slug, model, options)] = calls
    assert (slug, model) == ("acme", "rework")
    assert options == {"to_version": 3, "reason": FORM["reason"], "actor": "dag_test by the DAG rollback"}


@pytest.mark.parametrize(
    "error", [NothingToRestore("model 1 is gone"), psycopg.OperationalError("the connection is lost")], ids=str
)
def test_a_failure_is_not_tried_again(dag, asked, error):
    """After a lost connection nobody knows whether it was done, and once more would go further back."""
    calls, does = asked
    does.append(error)
    assert dag.test(run_conf=FORM).state == "failed"
    assert len(calls) == 1
