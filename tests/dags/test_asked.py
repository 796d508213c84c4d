"""What may be asked of a nightly, as Airflow takes it: by its API, as a backfill, for a logical date of the past."""

from __future__ import annotations

import datetime
import re
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.utils.types import DagRunType
from fastapi.testclient import TestClient

from include.foresight import nightly, runs, runtime
from include.foresight.errors import ConfigurationError

# Of the in-process API, which Airflow makes with Starlette's test client.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")

DAG = "nightly__acme"
WORDS = "a day that the calendar has, like 2024-05-31T00:00:00"


@pytest.fixture
def api(load, metadata_database) -> TestClient:
    """Airflow's own API, with the DAGs of the checkout in its database."""
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.dag_processing.dagbag import sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.merge(DagBundleModel(name="foresight"))
    sync_bag_to_db(load(), "foresight", None)
    app = create_app(apps="core")
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role="admin"))
    return TestClient(app, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("dag_id", [DAG, "health", "retraining", "sync_clients"])
@pytest.mark.parametrize("place", ["/api/v2/backfills", "/api/v2/backfills/dry_run"])
def test_a_backfill_is_refused_in_words(api: TestClient, dag_id: str, place: str):
    """Its days would be runs as of now, and the scheduler would go on from the last of them."""
    days = {"from_date": "2026-11-20T00:00:00Z", "to_date": "2026-11-22T23:00:00Z"}
    answer = api.post(place, json={"dag_id": dag_id} | days)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"] == f"Dag with dag_id: '{dag_id}' does not allow backfill runs"
    assert api.get(f"/api/v2/dags/{dag_id}/dagRuns").json()["dag_runs"] == []
    assert api.get(f"/api/v2/dags/{dag_id}/details").json()["is_backfillable"] is False


@pytest.mark.parametrize(
    "as_of", ["2026-02-30T00:00:00", "2025-02-29", "2026-13-01", "2026-01-01T24:00:00", "0000-01-01", "yesterday"]
)
def test_a_day_that_no_calendar_has_is_refused_in_words(api: TestClient, as_of: str):
    answer = api.post(f"/api/v2/dags/{DAG}/dagRuns", json={"logical_date": None, "conf": {"as_of": as_of}})
    assert answer.status_code == 400, answer.text
    assert as_of in answer.json()["detail"] and WORDS in answer.json()["detail"]
    with pytest.raises(ConfigurationError):
        runs.moment(as_of)


def test_every_day_of_the_calendar_and_no_other_is_taken():
    """400 years, after which the calendar repeats itself; from the first one on."""
    for year in (1, *range(1900, 2300), 9999):
        for month in range(1, 13):
            for day in range(1, 32):
                text = f"{year:04}-{month:02}-{day:02}"
                try:
                    datetime.date.fromisoformat(text)
                    real = True
                except ValueError:
                    real = False
                assert bool(re.fullmatch(runtime.MOMENT, text)) is real, text


@pytest.mark.parametrize(
    "as_of", ["2024-02-29", "2024-05-31 07:05", "2024-05-31T00:00:00.123456+02:00", "2024-05-31T23:59:59Z"]
)
def test_a_moment_is_taken_as_the_library_reads_it(api: TestClient, as_of: str):
    answer = api.post(f"/api/v2/dags/{DAG}/dagRuns", json={"logical_date": None, "conf": {"as_of": as_of}})
    assert answer.status_code == 200, answer.text
    assert runs.moment(as_of) is not None


@pytest.fixture
def asked(load, metadata_database, monkeypatch):
    """The request that `prepare` gets of a run of these dates."""
    requests: list[dict[str, Any]] = []

    def prepare(databases, slug, dag_run_id, request, **options):
        requests.append(dict(request))
        return {"state": "unchanged"}

    monkeypatch.setattr(nightly, "prepare", prepare)

    def run(**options: Any) -> dict[str, Any]:
        assert load().dags[DAG].test(**options).state == "success"
        return requests[-1]

    return run


def test_a_logical_date_of_the_past_is_the_moment_of_the_run(asked):
    now = datetime.datetime.now(datetime.UTC)
    past = now - datetime.timedelta(days=8)
    assert datetime.datetime.fromisoformat(asked(logical_date=past, run_after=now)["as_of"]) == past
    # What was asked for goes before.
    earlier = {"logical_date": past - datetime.timedelta(days=1), "run_after": now - datetime.timedelta(seconds=1)}
    assert asked(**earlier, run_conf={"as_of": "2024-05-31"})["as_of"] == "2024-05-31"


@pytest.mark.parametrize("hours", [0, 5, -5, None])
def test_a_run_of_now_has_no_moment_of_its_own(asked, hours):
    """A form that was open for hours asks for no other moment."""
    now = datetime.datetime.now(datetime.UTC)
    logical = None if hours is None else now - datetime.timedelta(hours=hours, minutes=1)
    assert asked(logical_date=logical, run_after=now)["as_of"] is None


def test_a_scheduled_run_that_comes_late_is_of_now(bag):
    tick = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
    late = SimpleNamespace(
        run_type=DagRunType.SCHEDULED, logical_date=tick, run_after=tick + datetime.timedelta(days=8)
    )
    assert runtime.request(bag.dags[DAG].params.validate(), late)["as_of"] is None
