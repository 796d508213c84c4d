"""The prediction API on real databases: who may ask, what is answered, what is logged, and what without a database."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg import sql

from foresight_api.app import create_app
from foresight_api.service import FRESH_SECONDS, OLDEST_COPY_SECONDS, Service
from include.foresight import api_keys, people, serving
from include.foresight.database import PRIMARY, REPLICA
from include.foresight.replication import SUBSCRIPTION
from include.foresight.serving import Predictor
from launcher.processes import wait_until
from tests.support import demo_night
from tests.support.callers import CLIENT, OPEN, OTHER, ROOT, key, keys, numbers
from tests.support.installation import Installation


@pytest.fixture(scope="module")
def client(app: FastAPI, world: Installation) -> TestClient:
    """A caller with a key for client 1."""
    return TestClient(app, headers={"Authorization": f"Bearer {key(world, CLIENT)}"}, raise_server_exceptions=False)


@contextlib.contextmanager
def on_its_own(start: Callable[[], Service], **how: Any) -> Iterator[FastAPI]:
    made = create_app(start, prefixes=(ROOT,), **how)
    try:
        yield made
    finally:
        if made.state.service.service:
            made.state.service.service.stop()


@contextlib.contextmanager
def nothing_in_advance(app: FastAPI) -> Iterator[Predictor]:
    """What is computed in advance is through, nothing is known, and nothing new is begun."""
    predictor = app.state.service().predictor
    predictor.anticipates = False
    predictor._ahead.submit(lambda: None).result(120)
    with predictor._lock:
        predictor._scored.clear()
    try:
        yield predictor
    finally:
        predictor.anticipates = True


@contextlib.contextmanager
def standing_still(world: Installation) -> Iterator[None]:
    """Nothing of the primary's reaches the replica."""
    name = sql.Identifier(SUBSCRIPTION)
    with psycopg.connect(world.replica, autocommit=True) as replica:
        replica.execute(sql.SQL("alter subscription {} disable").format(name))
        workers = "select from pg_stat_subscription where subname = %s and pid is not null"
        assert wait_until(lambda: not replica.execute(workers, [SUBSCRIPTION]).rowcount, 30)
        try:
            yield
        finally:
            replica.execute(sql.SQL("alter subscription {} enable").format(name))
    world.catch_up(60)


def is_refused(caller: TestClient, status: int) -> bool:
    """Within the seconds for which an answer of the registry holds."""
    return wait_until(lambda: caller.get(f"{ROOT}/models").status_code == status, FRESH_SECONDS + 20)


def test_points_of_issues(world: Installation, client: TestClient):
    asked = keys(world, CLIENT)
    answer = client.post(f"{ROOT}/estimate-complexity", json={"issue_keys": [*asked, "NOT-1", asked[0]]})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert sorted(one["key"] for one in body["estimates"]) == sorted(asked) and body["unknown"] == ["NOT-1"]
    for one in body["estimates"]:
        assert one["rung"] in ("boosted", "linear", "recent") and 0 < one["estimated_story_points"] < 30
        assert one["estimation_confidence"] in ("low", "medium", "high") and one["summary"]
    assert body["model_version"] == "issue_complexity_estimator_client_1_v1" and not body["last_known"]
    again = client.post(f"{ROOT}/v1/estimate-complexity", json={"issue_keys": asked}).json()
    estimates = {one["key"]: one["estimated_story_points"] for one in body["estimates"]}
    assert {one["key"]: one["estimated_story_points"] for one in again["estimates"]} == estimates


def test_dates_of_epics(world: Installation, client: TestClient):
    asked = keys(world, CLIENT, "Epic")
    body = client.post(f"{ROOT}/predict-trajectory", json={"epic_keys": asked}).json()
    assert len(body["predictions"]) == len(asked)
    for one in body["predictions"]:
        assert one["predicted_lead_time_days"] >= one["current_lead_time_days"] > 0
        assert one["predicted_completion_date"] > one["created"]
    story = keys(world, CLIENT)[:1]
    [one] = client.post(f"{ROOT}/predict-trajectory", json={"epic_keys": story}).json()["predictions"]
    assert one["excluded"] and one["predicted_completion_date"] is None


def test_risk_of_pull_requests(world: Installation, client: TestClient, explains: bool):
    [(repository, number)] = world.rows(
        world.primary,
        "select r.full_name, max(p.number) from pull_requests as p join repositories as r on r.id = p.repository_id"
        " where p.client_id = 1 and p.active group by r.full_name order by r.full_name limit 1",
    )
    answer = client.post(
        f"{ROOT}/predict-rework",
        json={"repository": repository, "pull_request_numbers": [number, 999_999], "explain": True},
    )
    body = answer.json()
    assert answer.status_code == 200 and body["unknown"] == ["999999"]
    [one] = body["predictions"]
    assert 0 <= one["rework_probability"] <= 1 and one["risk_level"] in ("low", "medium", "high")
    assert one["number"] == number and bool(one["reasons"]) == explains


def test_one_session_answers_every_model_for_long(world: Installation, client: TestClient):
    """The driver prepares a statement that it has sent some times; each model's rows have columns of their own."""
    stories, epics = keys(world, CLIENT, count=40), keys(world, CLIENT, "Epic", count=20)
    repository, pulls = numbers(world, CLIENT)
    for turn in range(12):
        for path, body in {
            "estimate-complexity": {"issue_keys": [stories[20 + turn]]},
            "predict-trajectory": {"epic_keys": [epics[5 + turn]]},
            "predict-rework": {"repository": repository, "pull_request_numbers": [pulls[20 + turn]]},
        }.items():
            # The first rounds ask for one model only: what was prepared for it meets the others' rows.
            if turn >= 8 or path == "estimate-complexity":
                answer = client.post(f"{ROOT}/{path}", json=body)
                assert answer.status_code == 200, (turn, path, answer.text)


def test_an_upgrade_of_the_tables_does_not_disturb_a_running_server(
    world: Installation, client: TestClient, app: FastAPI
):
    """Migrations add columns while servers run, whose sessions have prepared their statements."""
    asked = {"issue_keys": keys(world, CLIENT)}
    for _ in range(40):
        assert client.post(f"{ROOT}/estimate-complexity", json=asked).status_code == 200
    for conninfo in (world.primary, world.replica):
        with psycopg.connect(conninfo) as connection:
            for table in ("champions", "clients", "api_keys", "client_people"):
                connection.execute(sql.SQL("alter table ml.{} add column later text").format(sql.Identifier(table)))
    # What the registry said before is forgotten, and asked for again.
    app.state.service.service._keys.clear()
    app.state.service.service._clients.clear()
    for _ in range(5):
        answer = client.post(f"{ROOT}/estimate-complexity", json=asked)
        assert answer.status_code == 200, answer.text


@pytest.mark.own_engine
def test_reasons_are_the_rows_own(world: Installation, client: TestClient):
    """Asked for alone or among others, an entity has the same reasons."""
    repository, pulls = numbers(world, CLIENT)

    def reasons(asked: list[int]) -> dict[int, list]:
        body = {"repository": repository, "pull_request_numbers": asked, "explain": True}
        predictions = client.post(f"{ROOT}/predict-rework", json=body).json()["predictions"]
        return {one["number"]: one["reasons"] for one in predictions}

    together = reasons(pulls[:12])
    assert len({json.dumps(one) for one in together.values()}) > 1
    for number in pulls[:3]:
        assert reasons([number])[number] == together[number] and len(together[number]) == 5


def test_the_newest_rows_are_answered_in_advance(world: Installation, client: TestClient, app: FastAPI):
    """After a client's first request others that were never asked for are there, and are what they would have been."""
    asked = keys(world, CLIENT, "Bug", count=40)
    with nothing_in_advance(app) as predictor:
        predictor._due.clear()
    client.post(f"{ROOT}/estimate-complexity", json={"issue_keys": asked[:1]})
    predictor._ahead.submit(lambda: None).result(120)  # what was begun has ended
    misses = predictor.misses[CLIENT]
    first = client.post(f"{ROOT}/estimate-complexity", json={"issue_keys": asked[20:]}).json()["estimates"]
    assert predictor.misses[CLIENT] == misses
    with predictor._lock:
        predictor._scored.clear()
    again = client.post(f"{ROOT}/estimate-complexity", json={"issue_keys": asked[20:]}).json()["estimates"]
    assert predictor.misses[CLIENT] == misses + 20
    told = [[one["estimated_story_points"], one["interval_80"]] for one in (*first, *again)]
    assert told[:20] == told[20:]


def test_how_much_another_client_asks_is_not_told(world: Installation, client: TestClient, app: FastAPI):
    def counted(caller: TestClient) -> tuple[int, int]:
        said = caller.get(f"{ROOT}/alive").json()
        return said["cache_hits"], said["cache_misses"]

    other = TestClient(app, headers={"Authorization": f"Bearer {key(world, OTHER)}"})
    mine, theirs = counted(client), counted(other)
    assert other.post(f"{ROOT}/estimate-complexity", json={"issue_keys": keys(world, OTHER)}).status_code == 200
    assert counted(client) == mine
    assert sum(counted(other)) == sum(theirs) + 3


def test_requests_for_the_same_rows_compute_them_once(world: Installation, client: TestClient, app: FastAPI):
    asked, computed = keys(world, CLIENT, "Task", count=10), []
    with nothing_in_advance(app) as predictor:
        real = predictor._compute
        predictor._compute = lambda tx, asking, entities: computed.append(len(entities)) or real(tx, asking, entities)
        try:
            with ThreadPoolExecutor(4) as pool:
                bodies = [{"issue_keys": asked}] * 4
                answers = list(pool.map(lambda body: client.post(f"{ROOT}/estimate-complexity", json=body), bodies))
        finally:
            predictor._compute = real
    assert [answer.status_code for answer in answers] == [200] * 4
    assert computed == [10]


def test_requests_that_wait_are_computed_together(world: Installation, client: TestClient, app: FastAPI):
    """While one is computed others come, each for rows of its own: they cost one statement, not one each."""
    asked, computed = keys(world, CLIENT, "Task", count=16), []
    begun, go_on = threading.Event(), threading.Event()
    with nothing_in_advance(app) as predictor:
        real = predictor._compute

        def compute(tx, asking, entities):
            computed.append({entity["id"] for entity in entities})
            begun.set()
            assert go_on.wait(60)
            return real(tx, asking, entities)

        predictor._compute = compute
        try:
            with ThreadPoolExecutor(4) as pool:
                bodies = [{"issue_keys": asked[n : n + 4]} for n in range(0, 16, 4)]
                waiting = [pool.submit(client.post, f"{ROOT}/estimate-complexity", json=bodies[0])]
                assert begun.wait(60)
                waiting += [pool.submit(client.post, f"{ROOT}/estimate-complexity", json=body) for body in bodies[1:]]
                assert wait_until(lambda: sum(map(len, predictor._wanted.values())) == 12, 60, 0.01)
                go_on.set()
                answers = [one.result() for one in waiting]
        finally:
            go_on.set()
            predictor._compute = real
    assert [sorted(one["key"] for one in answer.json()["estimates"]) for answer in answers] == [
        sorted(body["issue_keys"]) for body in bodies
    ]
    assert [len(ids) for ids in computed] == [4, 12]


def test_answers_have_their_ranges(world: Installation, client: TestClient):
    body = client.post(f"{ROOT}/estimate-complexity", json={"issue_keys": keys(world, CLIENT)}).json()
    for one in body["estimates"]:
        low, high = one["interval_80"]["low"], one["interval_80"]["high"]
        assert 0 <= low <= one["estimated_story_points"] + 0.05 and one["estimated_story_points"] <= high + 0.05
        assert one["interval_50"]["high"] - one["interval_50"]["low"] <= high - low
    body = client.post(f"{ROOT}/predict-trajectory", json={"epic_keys": keys(world, CLIENT, "Epic")}).json()
    for one in body["predictions"]:
        assert one["interval_80"]["low"] <= one["predicted_lead_time_days"] <= one["interval_80"]["high"]
        dates = one["completion_dates_80"]
        assert dates["earliest"] <= one["predicted_completion_date"] <= dates["latest"]
        assert one["completion_date_p85"] >= one["predicted_completion_date"]
    story = keys(world, CLIENT)[:1]
    [one] = client.post(f"{ROOT}/predict-trajectory", json={"epic_keys": story}).json()["predictions"]
    assert one["interval_80"] is None and one["completion_dates_80"] is None


def test_every_answer_is_logged_once(world: Installation, client: TestClient, app: FastAPI):
    body = client.post(f"{ROOT}/estimate-complexity", json={"issue_keys": keys(world, CLIENT, "Bug")}).json()
    uuids = [one["prediction_uuid"] for one in body["estimates"]]
    # Sent, and then taken out of the file.
    assert wait_until(lambda: app.state.service.service.journal.backlog() == 0, 60)
    rows = world.rows(
        world.primary,
        "select source, client_id, prediction_value, input_features ? 'summary_length', model_name"
        " from ml.prediction_log where prediction_uuid = any(%(uuids)s::uuid[])",
        {"uuids": uuids},
    )
    assert len(rows) == len(uuids) == len(set(uuids))
    assert {(row[0], row[1], row[3]) for row in rows} == {("api", CLIENT, True)}


def test_a_stranger_sees_nothing(world: Installation, app: FastAPI):
    routes = {(route.path, tuple(route.methods)) for route in app.routes if hasattr(route, "methods")}
    assert {path.removeprefix(ROOT) for path, _ in routes} > OPEN
    for path, methods in routes:
        if path.removeprefix(ROOT) in OPEN:
            continue
        for method in methods:
            answer = TestClient(app).request(method, path, json={})
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "held", ["fsk_", "fsk_0123456789ab_wrong", "nonsense", "fsk_x_" + "a" * 500, "fsk_%27_or", "fsk__"]
)
def test_what_is_no_key_opens_nothing(app: FastAPI, held: str):
    caller = TestClient(app, headers={"Authorization": f"Bearer {held}"})
    answer = caller.get(f"{ROOT}/models")
    assert answer.status_code == 401 and held not in answer.text


def test_another_clients_rows_are_unknown(world: Installation, client: TestClient):
    theirs = keys(world, OTHER)
    body = client.post(f"{ROOT}/estimate-complexity", json={"issue_keys": theirs}).json()
    assert body["estimates"] == [] and body["unknown"] == theirs


def test_a_key_acts_for_its_client_only(world: Installation, app: FastAPI, client: TestClient):
    named = client.get(f"{ROOT}/models", params={"client": demo_night.SLUGS[OTHER]})
    assert named.status_code == 403
    both = TestClient(app, headers={"Authorization": f"Bearer {key(world, CLIENT, OTHER, any_of=True)}"})
    assert both.get(f"{ROOT}/models").status_code == 403
    assert both.get(f"{ROOT}/models", params={"client": demo_night.SLUGS[OTHER]}).json()["client"] == "obrien"
    third = both.get(f"{ROOT}/models", params={"client": demo_night.SLUGS[3]})
    nobody = both.get(f"{ROOT}/models", params={"client": "nobody"})
    assert (third.status_code, nobody.status_code) == (403, 403)
    assert third.json()["detail"].replace(demo_night.SLUGS[3], "nobody") == nobody.json()["detail"]


def test_a_revoked_key_is_refused(world: Installation, app: FastAPI):
    """Also where replication stands still: the replica's copy has the key as it was."""
    held = key(world, CLIENT)
    caller = TestClient(app, headers={"Authorization": f"Bearer {held}"})
    assert caller.get(f"{ROOT}/models").status_code == 200
    with standing_still(world):
        with world.databases.primary() as primary:
            renewed = api_keys.rotate(primary, api_keys.parse(held)[0])
            api_keys.revoke(primary, api_keys.parse(held)[0])
            assert {row["name"] for row in api_keys.listed(primary)} == {"test"}
        assert is_refused(caller, 401)
        assert TestClient(app, headers={"Authorization": f"Bearer {renewed}"}).get(f"{ROOT}/models").status_code == 200
    stored = world.rows(world.primary, "select encode(digest, 'escape') || name || key_id from ml.api_keys")
    assert not any(held.split("_", 2)[2] in text for (text,) in stored)


def test_a_client_that_is_switched_off_is_refused(world: Installation, app: FastAPI):
    caller = TestClient(app, headers={"Authorization": f"Bearer {key(world, OTHER)}"})
    assert caller.get(f"{ROOT}/models").status_code == 200
    switch = "update ml.clients set active = %s where client_id = %s"
    with standing_still(world):
        with world.superuser() as primary:
            primary.execute(switch, [False, OTHER])
        try:
            assert is_refused(caller, 403)
        finally:
            with world.superuser() as primary:
                primary.execute(switch, [True, OTHER])
        assert is_refused(caller, 200)


def test_without_the_primary_a_copy_is_believed_that_is_new(
    world: Installation, places: dict[str, str], tmp_path: Path
):
    held = key(world, CLIENT)
    away = places | {PRIMARY: "host=127.0.0.1 port=1 connect_timeout=1"}
    with on_its_own(lambda: Service.start(away.__getitem__, tmp_path)) as app, standing_still(world):
        caller = TestClient(app, headers={"Authorization": f"Bearer {held}"})
        assert caller.get(f"{ROOT}/models").status_code == 200
        # Nothing has come from the primary for long: the key may be revoked there.
        with world.on_replica() as replica:
            replica.execute(
                "update ml.heartbeat set beat_at = clock_timestamp() - make_interval(secs => %s)",
                [OLDEST_COPY_SECONDS + 60],
            )
        app.state.service.service._keys.clear()
        refused = caller.get(f"{ROOT}/models")
        assert (refused.status_code, refused.json()["title"]) == (503, "Database away")
        assert refused.headers["retry-after"] == "1" and "the primary does not answer" in refused.json()["detail"]


def test_a_rotation_is_whole_or_nothing(world: Installation):
    """The new key cannot be written: then the old one does not end."""
    held = api_keys.parse(key(world, CLIENT))[0]
    with world.superuser() as primary:
        primary.execute("alter table ml.api_keys add constraint full_up check (created_at < now()) not valid")
    try:
        with world.databases.primary() as primary, pytest.raises(psycopg.errors.CheckViolation):
            api_keys.rotate(primary, held)
    finally:
        with world.superuser() as primary:
            primary.execute("alter table ml.api_keys drop constraint full_up")
    [(expires,)] = world.rows(
        world.primary, "select expires_at from ml.api_keys where key_id = %(held)s", {"held": held}
    )
    assert expires is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"issue_keys": []}, 422),
        ({"issue_keys": ["A"] * 201}, 422),
        ({"issue_keys": [1]}, 422),
        ({"issue_keys": ["A\u0000"]}, 422),
        ({"issue_keys": ["A"], "client_id": 2}, 422),
        ({"issue_keys": ["'; drop table x; --", "%", "Ёж", "a" * 255]}, 200),
        ({"issue_keys": ["A"], "client": "obrien"}, 403),
    ],
)
def test_bodies(client: TestClient, body: dict, status: int):
    answer = client.post(f"{ROOT}/estimate-complexity", json=body)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_a_body_that_is_too_large(client: TestClient):
    """Whether or not it says so before."""
    for content in (b" " * 300_000, iter([b" " * 100_000] * 3)):
        answer = client.post(f"{ROOT}/estimate-complexity", content=content)
        assert (answer.status_code, answer.json()["title"]) == (413, "Request too large")
    pieces = iter([b'{"issue_keys": ', b" " * 200_000, b'["NOT-1"]}'])
    answer = client.post(f"{ROOT}/estimate-complexity", content=pieces, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200 and answer.json()["unknown"] == ["NOT-1"]


def test_a_promotion_is_seen_at_once(world: Installation, client: TestClient):
    asked = keys(world, CLIENT)
    before = client.post(f"{ROOT}/estimate-complexity", json={"issue_keys": asked}).json()["estimates"]
    with psycopg.connect(world.primary) as primary:
        primary.execute(
            "update ml.champions set rung = 'recent', model_uuid = null, pgml_model_id = null, feature_hash = null,"
            " version = version + 1 where client_id = 1 and model = 'complexity'"
        )
    world.catch_up()
    after = client.post(f"{ROOT}/estimate-complexity", json={"issue_keys": asked}).json()["estimates"]
    assert {one["rung"] for one in after} == {"recent"} and {one["model_uuid"] for one in after} == {None}
    assert len(before) == len(after)


def test_the_page_is_served_from_here(app: FastAPI):
    """Every address in it is its own, and leads to a file. A browser has no key to send."""
    client = TestClient(app)
    page = client.get(f"{ROOT}/docs").text
    assert re.findall("https?://", page) == []
    named = re.findall('(?:href|src)="(.+?)"', page)
    assert len(named) == 3
    for name in named:
        answer = client.get(f"{ROOT}/{name}")
        assert answer.status_code == 200 and len(answer.content) > 1000
    assert "SwaggerUIBundle" in client.get(f"{ROOT}/page/swagger-ui-bundle.js").text
    document = client.get(f"{ROOT}/openapi.json").json()
    assert f"{ROOT}/estimate-complexity" in document["paths"]
    for name in ("redoc.standalone.js", "..%2f__init__.py", "%2e%2e/core.py"):
        assert client.get(f"{ROOT}/page/{name}").status_code in (404, 422)


def test_the_page_knows_where_it_is_mounted(world: Installation, places: dict[str, str], tmp_path: Path):
    """As Airflow mounts it: what the document says of an address is where the app answers."""
    app = create_app(lambda: Service.start(places.__getitem__, tmp_path))
    outer = FastAPI()
    outer.mount(ROOT, app)
    caller = TestClient(outer, headers={"Authorization": f"Bearer {key(world, CLIENT)}"})
    try:
        document = caller.get(f"{ROOT}/openapi.json").json()
        [server] = document["servers"]
        assert server["url"] + min(document["paths"]) == f"{ROOT}/alive"
        assert caller.get(server["url"] + "/models").status_code == 200
        for name in re.findall('(?:href|src)="(.+?)"', caller.get(f"{ROOT}/docs").text):
            assert caller.get(f"{ROOT}/{name}").status_code == 200
    finally:
        app.state.service.service.stop()


def test_health(world: Installation, client: TestClient):
    body = client.get(f"{ROOT}/health").json()
    assert (body["replica"], body["primary"]) == ("up", "up")
    assert {one["model"] for one in body["models"]} == {"complexity", "rework", "trajectory"}
    assert [slot["wal_status"] for slot in body["slots"]] == ["reserved"] and body["slots"][0]["active"]
    for one in body["models"]:
        assert one["decision"] in ("promote", "keep", "demote") and one["trained_as_of"] == one["judged_as_of"]
        assert 0 <= one["replica_behind_seconds"] < 10 and one["data_as_of"] > "2"
        assert one["model_as_of"] == (one["trained_as_of"] if one["rung"] in ("boosted", "linear") else None)
        assert 0 < one["longest_seconds"] <= one["seconds"] and one["longest_statement"]
        [(temp_bytes,)] = world.rows(
            world.primary,
            "select temp_bytes from ml.training_runs where client_id = %s and model = %s"
            " order by started_at desc limit 1",
            [CLIENT, one["model"]],
        )
        assert isinstance(temp_bytes, int) and one["temp_bytes"] == temp_bytes


def test_no_model_yet(world: Installation, app: FastAPI):
    caller = TestClient(app, headers={"Authorization": f"Bearer {key(world, 3)}"})
    answer = caller.post(f"{ROOT}/estimate-complexity", json={"issue_keys": keys(world, 3)})
    assert answer.status_code == 409 and "first night" in answer.json()["detail"]


def test_a_person_acts_by_name_or_by_role(world: Installation, places: dict[str, str], tmp_path: Path):
    who: dict[str, tuple[str, list[str]]] = {}

    async def person(request: object, token: str | None) -> tuple[str, list[str]]:
        return who["asks"]

    ann, leads = people.Principal("user", "ann"), people.Principal("role", "leads")
    with world.databases.primary() as primary:
        people.allow(primary, ann, [demo_night.SLUGS[CLIENT]])
        people.allow(primary, leads, [demo_night.SLUGS[CLIENT], demo_night.SLUGS[OTHER]])
    world.catch_up()
    with on_its_own(lambda: Service.start(places.__getitem__, tmp_path), person=person) as app:
        caller = TestClient(app)
        who["asks"] = ("ann", ["viewer"])
        assert caller.get(f"{ROOT}/models").json()["client"] == demo_night.SLUGS[CLIENT]
        assert caller.get(f"{ROOT}/models", params={"client": demo_night.SLUGS[OTHER]}).status_code == 403
        who["asks"] = ("bob", ["leads"])
        assert caller.get(f"{ROOT}/models").status_code == 403
        named = caller.get(f"{ROOT}/models", params={"client": demo_night.SLUGS[OTHER]})
        assert named.json()["client"] == demo_night.SLUGS[OTHER]
        who["asks"] = ("bob", ["ann"])
        assert caller.get(f"{ROOT}/models").status_code == 403
        with standing_still(world):
            with world.databases.primary() as primary:
                people.refuse(primary, ann, [demo_night.SLUGS[CLIENT]])
            who["asks"] = ("ann", ["viewer"])
            assert caller.get(f"{ROOT}/models").status_code == 403


@pytest.fixture
def enriched(world: Installation) -> str:
    """The key of an issue that the night has predicted."""
    [(found,)] = world.rows(
        world.primary, "select key from ml.issue_predictions where client_id = 1 and model = 'complexity' limit 1"
    )
    return found


def test_without_the_replica_the_last_enrichment_answers(
    places: dict[str, str], tmp_path: Path, client: TestClient, enriched: str
):
    gone = places | {REPLICA: "host=127.0.0.1 port=1 connect_timeout=1"}
    with on_its_own(lambda: Service.start(gone.__getitem__, tmp_path)) as app:
        caller = TestClient(app, headers=client.headers)
        answer = caller.post(f"{ROOT}/estimate-complexity", json={"issue_keys": [enriched, "NOT-1"]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["last_known"] and answer.json()["unknown"] == ["NOT-1"]
        nothing = caller.post(f"{ROOT}/estimate-complexity", json={"issue_keys": ["NOT-1"]})
        assert nothing.status_code == 503 and nothing.headers["retry-after"] == "1"
        assert "does not answer, and" in nothing.json()["detail"]


@pytest.mark.parametrize("ended_by", ["lock_timeout", "statement_timeout"])
def test_a_copy_that_is_locked_is_no_failure(
    world: Installation,
    places: dict[str, str],
    tmp_path: Path,
    client: TestClient,
    enriched: str,
    monkeypatch: pytest.MonkeyPatch,
    ended_by: str,
):
    """As while it is truncated, or gets a column. What the last night said is there."""
    monkeypatch.setattr(serving, "POOL_SECONDS", 0.3 if ended_by == "lock_timeout" else 60.0)
    monkeypatch.setattr(serving, "ANSWER_SECONDS", 60.0 if ended_by == "lock_timeout" else 0.3)
    with on_its_own(lambda: Service.start(places.__getitem__, tmp_path)) as app, world.on_replica() as replica:
        caller = TestClient(app, headers=client.headers)
        replica.execute("lock table public.issues in access exclusive mode")
        answer = caller.post(f"{ROOT}/estimate-complexity", json={"issue_keys": [enriched]})
        assert answer.status_code == 200 and answer.json()["last_known"], answer.text
        nothing = caller.post(f"{ROOT}/estimate-complexity", json={"issue_keys": ["NOT-1"]})
        assert (nothing.status_code, nothing.headers["retry-after"]) == (503, "1")
        assert "does not answer in time" in nothing.json()["detail"]
        counted = caller.get(f"{ROOT}/metrics").text
        assert re.search('foresight_request_seconds_count{.*status="503"} [1-9]', counted)


def test_a_locked_registry_is_no_failure(
    world: Installation, places: dict[str, str], tmp_path: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(serving, "POOL_SECONDS", 0.3)
    with on_its_own(lambda: Service.start(places.__getitem__, tmp_path)) as app, world.on_replica() as replica:
        caller = TestClient(app, headers=client.headers)
        replica.execute("lock table ml.champions in access exclusive mode")
        answer = caller.get(f"{ROOT}/models")
        assert (answer.status_code, answer.json()["title"]) == (503, "Database slow")
        assert answer.headers["retry-after"] == "1"
        found = caller.get(f"{ROOT}/health").json()
        assert (found["replica"], found["primary"], found["status"]) == ("busy", "up", "degraded")


def test_a_pool_that_is_used_up_is_called_busy(
    places: dict[str, str], tmp_path: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(serving, "POOL_SECONDS", 0.5)
    monkeypatch.setattr(serving, "POOL_SIZE", 1)
    with on_its_own(lambda: Service.start(places.__getitem__, tmp_path)) as app:
        caller = TestClient(app, headers=client.headers)
        with app.state.service().databases.session(REPLICA):
            for answer in (
                caller.post(f"{ROOT}/estimate-complexity", json={"issue_keys": ["NOT-1"]}),
                caller.get(f"{ROOT}/models"),
            ):
                assert (answer.status_code, answer.json()["title"]) == (503, "Busy"), answer.text
                assert answer.headers["retry-after"] == "1" and "in use" in answer.json()["detail"]
            assert caller.get(f"{ROOT}/health").json()["replica"] == "busy"
        assert caller.get(f"{ROOT}/models").status_code == 200


def test_why_the_baseline_answers_is_said(world: Installation, client: TestClient):
    """The model in service was trained on a feature that is not there any more."""
    repository, pulls = numbers(world, CLIENT)
    body = {"repository": repository, "pull_request_numbers": pulls[:2]}
    before = client.post(f"{ROOT}/predict-rework", json=body).json()["predictions"]
    assert [one["fallback_reason"] for one in before] == [None, None] and before[0]["model_uuid"]
    set_hash = (
        "update ml.champions set feature_hash = %s, version = version + 1 where client_id = 1 and model = 'rework'"
    )
    [(real,)] = world.rows(
        world.primary, "select feature_hash from ml.champions where client_id = 1 and model = 'rework'"
    )
    with world.superuser() as primary:
        primary.execute(set_hash, ["of others"])
    world.catch_up()
    try:
        for _ in range(2):
            after = client.post(f"{ROOT}/predict-rework", json=body).json()["predictions"]
            for one in after:
                assert (one["rung"], one["model_uuid"]) == ("recent", None)
                assert one["fallback_reason"].startswith(
                    f"model {before[0]['model_uuid']} was trained on other features"
                )
    finally:
        with world.superuser() as primary:
            primary.execute(set_hash, [real])
        world.catch_up()


def test_probes_need_no_key(places: dict[str, str], tmp_path: Path, app: FastAPI):
    alive = TestClient(app).get(f"{ROOT}/alive").json()
    assert alive["process"] > 0 and alive["cache_hits"] is None
    ready = TestClient(app).get(f"{ROOT}/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True})
    nowhere = "host=127.0.0.1 port=1 connect_timeout=1"
    for away, status in {(REPLICA,): 200, (PRIMARY,): 200, (PRIMARY, REPLICA): 503}.items():
        some = places | dict.fromkeys(away, nowhere)
        with on_its_own(lambda: Service.start(some.__getitem__, tmp_path)) as lonely:  # noqa: B023
            answer = TestClient(lonely).get(f"{ROOT}/ready")
            assert answer.status_code == status, away
            assert TestClient(lonely).get(f"{ROOT}/alive").status_code == 200
    assert answer.json()["title"] == "Not ready" and answer.headers["retry-after"] == "1"
