"""The client against the real server, over real sockets, with real rows."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import psycopg
import pytest
import uvicorn
from fastapi import FastAPI

from foresight_api import schemas
from include.foresight import client as module
from include.foresight.client import AsyncMLPredictionClient, Clock, MLPredictionClient, Patience, Predictions
from include.foresight.enhanced_jobs import GitHubPredictions, JiraPredictions
from launcher import serve
from tests.support.callers import CLIENT, OTHER, ROOT, key, keys, numbers
from tests.support.installation import Installation

ROOT_FOLDER = Path(__file__).resolve().parents[3]
BRIEF = Patience(call=20, pause=0.01, rest=0.5)


class Server:
    """uvicorn in a thread, on one port however often it is started."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{ROOT}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        # The app's service outlives each run: it is the fixture's to stop.
        server = uvicorn.Server(uvicorn.Config(self._app, port=self.port, lifespan="off", log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture(scope="module")
def stopped(app: FastAPI) -> Server:
    return Server(app)


@pytest.fixture
def server(stopped: Server) -> Iterator[Server]:
    with stopped.running():
        yield stopped


class Asking:
    """Both classes by the names of the one."""

    def __init__(self, made: Any) -> None:
        self._made, self._loop = made, asyncio.new_event_loop()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            answer = getattr(self._made, name)(*arguments, **named)
            return self._loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

        return call

    def end(self) -> None:
        self.close()
        self._loop.close()


@pytest.fixture(params=[MLPredictionClient, AsyncMLPredictionClient])
def asking(request: pytest.FixtureRequest, world: Installation, server: Server) -> Iterator[Asking]:
    made = Asking(request.param(server.url, key(world, CLIENT), patience=BRIEF))
    yield made
    made.end()


def test_the_three_questions(world: Installation, asking: Asking, explains: bool):
    assert asking.is_available() is True
    stories, epics = keys(world, CLIENT), keys(world, CLIENT, "Epic")
    points = asking.estimate_complexity([*stories, "NOT-1"])
    assert sorted(points) == sorted(stories) and points.unknown == ("NOT-1",) and points.reason is None
    assert all(one["estimated_story_points"] > 0 for one in points.values())
    assert points.model_version == "issue_complexity_estimator_client_1_v1" and not points.last_known
    dates = asking.predict_trajectory([*epics, stories[0]])
    assert sorted(dates) == sorted(epics) and stories[0] in dates.excluded and dates.reason is None
    assert all(one["predicted_completion_date"] for one in dates.values())
    repository, pulls = numbers(world, CLIENT)
    risk = asking.predict_rework_risk([*pulls[:3], 999_999], repository=repository, explain=True)
    assert sorted(risk) == sorted(pulls[:3]) and risk.unknown == (999_999,) and risk.reason is None
    assert all(0 <= one["rework_probability"] <= 1 for one in risk.values())
    assert [bool(one["reasons"]) for one in risk.values()] == [explains] * 3


def test_a_long_list(world: Installation, asking: Asking):
    """Longer than the server takes at once, with every kind of name in it."""
    assert (module.MOST, module.LONGEST, module.LARGEST) == (schemas.MOST, 255, 2**31 - 1)
    stories = keys(world, CLIENT, count=450)
    odd = ["", "\0", "A" * 256, None, "'; drop table x; --", "ж" * 255, "\ud800", "\U0001f600" * 255]
    assert len(stories) > 2 * module.MOST
    found = asking.estimate_complexity([*stories[:100], *odd, *stories[100:]])
    assert found.reason is None and sorted({*found, *found.excluded}) == sorted(stories)
    assert set(found.unknown) == set(odd)


def test_the_largest_list_that_the_server_takes(asking: Asking):
    """Of the longest keys in the widest characters: its size is within the server's limit."""
    found = asking.estimate_complexity(["\U0001f600" * 250 + f"{number:05}" for number in range(module.MOST)])
    assert found.reason is None and len(found.unknown) == module.MOST


def test_anothers_rows_are_unknown(world: Installation, asking: Asking):
    theirs = keys(world, OTHER)
    assert asking.estimate_complexity(theirs).unknown == tuple(theirs)


def test_refusals_have_their_reason(world: Installation, server: Server):
    bad = MLPredictionClient(server.url, "fsk_0123456789ab_wrong", patience=BRIEF)
    assert not bad.is_available() and "HTTP 401: Key refused" in bad.estimate_complexity(["A-1"]).reason
    third = MLPredictionClient(server.url, key(world, 3), patience=BRIEF)
    assert third.is_available() and "first night" in third.estimate_complexity(["A-1"]).reason
    elsewhere = MLPredictionClient(server.url + "/elsewhere", key(world, CLIENT), patience=BRIEF)
    assert not elsewhere.is_available() and elsewhere.estimate_complexity(["A-1"]).reason == (
        "HTTP 404: Refused: Not Found"
    )


def test_a_key_for_several_clients(world: Installation, server: Server):
    both = key(world, CLIENT, OTHER, any_of=True)
    theirs = keys(world, OTHER)
    unnamed = MLPredictionClient(server.url, both, patience=BRIEF)
    assert "several clients" in unnamed.estimate_complexity(theirs).reason and not unnamed.is_available()
    named = MLPredictionClient(server.url, both, client="obrien", patience=BRIEF)
    assert named.is_available() and sorted(named.estimate_complexity(theirs)) == sorted(theirs)


def test_a_server_that_stops_and_comes_back(world: Installation, stopped: Server):
    stories = keys(world, CLIENT)
    held = key(world, CLIENT)
    for kind in (MLPredictionClient, AsyncMLPredictionClient):
        ahead = [0.0]
        clock = Clock(now=lambda ahead=ahead: time.monotonic() + ahead[0])
        patient = replace(BRIEF, rest=300)
        asking = Asking(kind(stopped.url, held, patience=patient, clock=clock))
        with stopped.running():
            assert len(asking.estimate_complexity(stories)) == len(stories)
        lost = [asking.estimate_complexity(stories) for _ in range(5)]
        assert all(len(found) == 0 and found.reason for found in lost) and "left alone" in lost[-1].reason
        with stopped.running():
            ahead[0] = patient.rest
            assert len(asking.estimate_complexity(stories)) == len(stories)
        asking.end()


def test_the_server_as_it_is_started(
    world: Installation, places: dict[str, str], stopped: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Processes of their own, as ./foresight serve has them; one is killed while a caller asks."""
    for conn_id, conninfo in places.items():
        place = psycopg.conninfo.conninfo_to_dict(conninfo)
        named = {"login": place["user"], "schema": place["dbname"]} | {
            name: place[name] for name in ("host", "port", "password")
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "postgres"} | named))
    monkeypatch.setenv("FORESIGHT_JOURNAL", str(tmp_path / "journal"))
    command = serve.command("127.0.0.1", stopped.port, 2)
    with (tmp_path / "log").open("w") as log, serve.counting(None) as counting:
        process = subprocess.Popen(command, env=serve.environment(None) | counting, stdout=log, stderr=log)
        try:
            answers_go_on(world, process, stopped, tmp_path)
        finally:
            process.terminate()
            process.wait(30)


def answers_go_on(world: Installation, process: subprocess.Popen, stopped: Server, tmp_path: Path) -> None:
    stories, held = keys(world, CLIENT, count=50), key(world, CLIENT)
    client = MLPredictionClient(stopped.url, held, patience=replace(BRIEF, available=0, failures=999))
    deadline = time.monotonic() + 60
    while not client.is_available() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(client.estimate_complexity(stories)) == len(stories), (tmp_path / "log").read_text()
    workers = [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]
    assert len(workers) == 2
    workers[0].kill()
    for _ in range(20):
        found = client.estimate_complexity(stories)
        assert len(found) == len(stories) and found.reason is None
    # Whichever process is asked tells of all of them, those that are gone too.
    for _ in range(5):
        told = httpx.get(f"{stopped.url}/metrics", headers={"Authorization": f"Bearer {held}"}).text
        [line] = [line for line in told.splitlines() if line.startswith("foresight_entities_total{")]
        assert float(line.split()[-1]) == 21 * len(stories)


class Job:
    """As the platform's jobs: it has the rows of its tables."""

    def __init__(self, client_id: int, config: Mapping[str, Any]) -> None:
        self.client_id, self.config = client_id, config

    async def process_pull_request_batch(self, batch: list[dict]) -> list[SimpleNamespace]:
        return [SimpleNamespace(**row) for row in batch]

    process_issue_batch = process_pull_request_batch


@pytest.fixture
def environment(world: Installation, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a service has it."""
    monkeypatch.setenv(module.URL_VARIABLE, server.url)
    monkeypatch.setenv(module.KEY_VARIABLE, key(world, CLIENT))


ON = {"ml_predictions_enabled": True}


def test_the_github_job(world: Installation, environment: None):
    class EnhancedGitHubJob(GitHubPredictions, Job):
        pass

    batch = world.dicts(
        world.primary,
        "select p.number, lower(p.status) as state, r.full_name as repository from pull_requests as p"
        " join repositories as r on r.id = p.repository_id where p.client_id = 1 and p.active"
        " order by p.pr_created_at desc limit 300",
    )
    assert {row["state"] for row in batch} > {"open"} and len({row["repository"] for row in batch}) > 1
    rows = asyncio.run(EnhancedGitHubJob(CLIENT, ON).process_pull_request_batch(batch))
    assert len(rows) == 300
    predicted = [row for row in rows if hasattr(row, "ml_rework_probability")]
    assert predicted and {row.state for row in predicted} == {"open"}
    assert all(0 <= row.ml_rework_probability <= 1 and row.ml_risk_level for row in predicted)


def test_the_jira_job(world: Installation, environment: None):
    class EnhancedJiraJob(JiraPredictions, Job):
        pass

    batch = world.dicts(
        world.primary,
        "select i.key, i.story_points, t.original_name as issuetype_name from issues as i"
        " join issuetypes as t on t.id = i.issuetype_id where i.client_id = 1 and i.active"
        " order by i.created desc limit 500",
    )
    rows = asyncio.run(EnhancedJiraJob(CLIENT, ON).process_issue_batch(batch))
    estimated = [row for row in rows if hasattr(row, "ml_estimated_story_points")]
    assert len(rows) == 500 and estimated
    assert all(row.issuetype_name == "Story" and not row.story_points for row in estimated)
    assert all(0 < row.ml_estimated_story_points < 30 and row.ml_estimation_confidence for row in estimated)


PAGE = (ROOT_FOLDER / "docs" / "for-the-platform.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.+?)```", PAGE, re.DOTALL)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The two files as a service has them."""
    package = tmp_path / "predictions"
    package.mkdir()
    for name in ("client.py", "enhanced_jobs.py"):
        shutil.copy(ROOT_FOLDER / "include" / "foresight" / name, package)
    return tmp_path


def test_what_the_page_shows_runs(environment: None, copied: Path):
    said = []
    for text in blocks("python"):
        done = subprocess.run(
            [sys.executable, "-c", text],
            cwd=copied,
            env=os.environ | {"PYTHONPATH": str(copied)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    first, second = said
    assert re.search(r"^NWL-387 \d+\.\d (low|medium|high)$", first, re.M) and "unknown: ('NO-SUCH',)" in first
    assert "why not everything: None" in first and re.search("'NWL-1877': '2\\d\\d\\d-", first)
    assert "{'NWL-387': 'other type'}" in first
    assert re.search(r"^NWL-1834 \d+\.\d$", second, re.M) and "NO-SUCH None" in second
    assert re.search(r"^442 0\.\d+$", second, re.M) and re.search(r"^651 0\.\d+$", second, re.M)


def test_the_statements_that_the_page_shows_run(world: Installation):
    views, log, health = (text for block in blocks("sql") for text in block.split(";\n") if text.strip())
    with psycopg.connect(world.primary) as connection:
        connection.execute("set role foresight_reader")
        assert connection.execute(views).rowcount == 10
        connection.execute("set role foresight_client_1")
        assert connection.execute(log).rowcount == 5 and connection.execute(health).rowcount == 3


def test_a_job_without_the_server(world: Installation, stopped: Server, monkeypatch: pytest.MonkeyPatch):
    class EnhancedJiraJob(JiraPredictions, Job):
        pass

    monkeypatch.setenv(module.URL_VARIABLE, stopped.url)
    monkeypatch.setenv(module.KEY_VARIABLE, key(world, CLIENT))
    batch = [{"key": "A-1", "story_points": None, "issuetype_name": "Story"}]
    [row] = asyncio.run(EnhancedJiraJob(CLIENT, ON).process_issue_batch(batch))
    assert vars(row) == batch[0] and isinstance(Predictions(), Mapping)
