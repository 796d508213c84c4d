"""The pages on real databases: what is in them, who sees what, what cannot be put into them."""

from __future__ import annotations

import contextlib
import datetime
import html
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from html.parser import HTMLParser

import psycopg
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from psycopg.types.json import Jsonb

from foresight_api.app import create_app
from foresight_api.errors import Unauthorized
from foresight_api.service import Service
from include.foresight.database import PRIMARY, REPLICA
from tests.support import demo_night, nights
from tests.support.installation import Installation

CLIENT, OTHER, TINY = 1, 2, 3
SLUG, THEIRS = demo_night.SLUGS[CLIENT], demo_night.SLUGS[OTHER]

# Who logs in with which roles; the token is the name.
PEOPLE = {"ann": ["viewer"], "bob": ["viewer"], "both": ["viewer"], "stranger": ["viewer"], "boss": ["admin"]}

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">&"\''


async def person(request: Request, token: str | None) -> tuple[str, list[str]]:
    name = token or request.cookies.get("_token")
    if name not in PEOPLE:
        raise Unauthorized
    return name, PEOPLE[name]


@pytest.fixture(scope="module")
def world(new_pair: Callable[..., contextlib.AbstractContextManager[Installation]]) -> Iterator[Installation]:
    with new_pair() as made:
        demo_night.load(made)
        with nights.warm(made) as databases:
            for client in (CLIENT, OTHER):
                assert not demo_night.live(databases, demo_night.SLUGS[client], "the night").errors
        let_act(made, ann=[CLIENT], bob=[OTHER], both=[CLIENT, OTHER])
        made.catch_up()
        yield made


def let_act(world: Installation, **people: list[int]) -> None:
    with world.superuser() as primary:
        for name, clients in people.items():
            for client in clients:
                primary.execute(
                    "insert into ml.client_people (client_id, principal, kind) values (%s, %s, 'user')", [client, name]
                )


@pytest.fixture(scope="module")
def app(world: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    places = {PRIMARY: world.app(PRIMARY), REPLICA: world.app(REPLICA)}
    folder = tmp_path_factory.mktemp("journal")
    made = create_app(lambda: Service.start(places.__getitem__, folder), person=person)
    yield made
    if made.state.service.service:
        made.state.service.service.stop()


def as_(app: FastAPI, name: str) -> TestClient:
    return TestClient(app, headers={"Authorization": f"Bearer {name}"}, raise_server_exceptions=False)


class Tags(HTMLParser):
    """Elements, their attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def figures(text: str) -> dict[str, dict]:
    """Plotly's figures in a page, by name."""
    found = re.findall(r'<script type="application/json" id="(\w+)-figure">(.*?)</script>', text, re.DOTALL)
    return {name: json.loads(stated) for name, stated in found}


def rows_of(text: str) -> list[str]:
    """The lines of the fleet's table."""
    return re.findall(r"<tr data-q=.*?</tr>", text, re.DOTALL)


# --- What is shown


def test_the_list_shows_what_serves(world: Installation, app: FastAPI):
    text = as_(app, "ann").get("/pages").text
    rows = rows_of(text)
    assert len(rows) == 3
    serving = dict(world.rows(world.primary, "select model, rung from ml.champions where client_id = 1"))
    errors = dict(
        world.rows(world.primary, "select model, scores #>> '{simple,error}' from ml.gate_verdicts where client_id = 1")
    )
    for row in rows:
        model = re.search(r'data-model="(\w+)"', row)[1]
        assert f'data-rung="{serving[model]}"' in row
        numbers = re.findall(r'<td class="number[^"]*" data-sort="([^"]*)"', row)
        assert float(numbers[1]) == pytest.approx(float(errors[model]), rel=1e-4)
        assert "healthy" in row or "degraded" in row
        assert "success" in row and f"/pages/{SLUG}/{model}" in row


def test_the_list_counts_what_drifts(world: Installation, app: FastAPI):
    """As the last night found it: the fleet sees how many columns, the model's page which."""

    def drift_of(model: str) -> str:
        [row] = [row for row in rows_of(as_(app, "boss").get("/pages", params={"model": model}).text) if SLUG in row]
        return re.findall(r'<td data-sort="[^"]*">([^<]*)</td>', row)[-1]

    assert drift_of("rework") == "warming up"
    with psycopg.connect(world.primary) as connection:
        connection.execute(
            "update ml.drift set state = case name when 'prediction' then 'drifting' else 'steady' end"
            " where client_id = 1 and model = 'rework'"
        )
        connection.execute("update ml.drift set state = 'steady' where client_id = 1 and model = 'complexity'")
    assert (drift_of("rework"), drift_of("complexity")) == ("1 column", "none")


def test_unusual_answers_are_told_to_the_client_and_not_to_the_fleet(world: Installation, app: FastAPI):
    with psycopg.connect(world.primary) as connection:
        connection.execute(
            "insert into ml.anomalies (run_id, client_id, model, kind, entity_id, severity, sentence)"
            " select run_id, client_id, 'complexity', 'left_its_range', 4711, 'high', 'issue 4711 is <b>odd</b>'"
            " from ml.nightly_runs where client_id = 1 and phases ? 'watch' order by started_at desc limit 1"
        )
    told = as_(app, "ann").get(f"/pages/{SLUG}/complexity").text
    assert "left its range: issue 4711 is &lt;b&gt;odd&lt;/b&gt;" in told
    assert "4711" not in as_(app, "boss").get(f"/pages/{SLUG}/complexity").text


def test_the_list_can_be_filtered_without_a_script(app: FastAPI):
    boss = as_(app, "boss")
    assert len(rows_of(boss.get("/pages").text)) == 9
    assert len(rows_of(boss.get("/pages", params={"model": "rework"}).text)) == 3
    some = rows_of(boss.get("/pages", params={"q": "TINY"}).text)
    assert len(some) == 3 and all(f"/pages/{demo_night.SLUGS[TINY]}/" in row for row in some)
    assert "No model fits the filter." in boss.get("/pages", params={"q": "nobody", "status": "healthy"}).text


@pytest.mark.parametrize("model", ["complexity", "rework", "trajectory"])
def test_a_models_page_tells_where_it_comes_from(world: Installation, app: FastAPI, model: str):
    answer = as_(app, "ann").get(f"/pages/{SLUG}/{model}")
    assert answer.status_code == 200, answer.text
    text = answer.text
    [training] = world.dicts(
        world.primary,
        "select * from ml.training_runs where client_id = 1 and model = %(model)s",
        {"model": model},
    )
    for name in ("training_table", "fingerprint", "feature_hash", "code_version", "spec_digest"):
        assert str(training[name]) in text, name
    assert all(f"<code>{name}</code>" in text for name in training["feature_names"])
    [verdict] = world.dicts(
        world.primary, "select * from ml.gate_verdicts where client_id = 1 and model = %(model)s", {"model": model}
    )
    said = " ".join(Tags(text).texts)
    assert verdict["sentence"] in said
    assert all(one["name"] in said and one["reason"] in said for one in verdict["criteria"])
    drawn = figures(text)["errors"]
    assert len(drawn["data"][0]["x"]) == 1 and drawn["data"][1]["y"][0] > 0


def test_the_snapshot_is_that_of_the_model_in_service(world: Installation, app: FastAPI):
    [(model_id,)] = world.rows(
        world.primary, "select pgml_model_id from ml.champions where client_id = 1 and model = 'complexity'"
    )
    assert model_id, "the generated client's points can be learned"
    [(snapshot, relation)] = world.rows(
        world.replica,
        "select s.id, s.relation_name from pgml.models as m join pgml.snapshots as s on s.id = m.snapshot_id"
        " where m.id = %(id)s",
        {"id": model_id},
    )
    assert f"{snapshot} of {relation}" in as_(app, "ann").get(f"/pages/{SLUG}/complexity").text


def test_a_client_without_a_model_is_told_so_in_words(app: FastAPI):
    """Its first night has not been: no number, and no error either."""
    text = as_(app, "boss").get(f"/pages/{demo_night.SLUGS[TINY]}/complexity").text
    assert "nothing yet" in text and "No night has judged a model of this client yet." in text
    assert f"nightly__{demo_night.SLUGS[TINY]}" in text and not figures(text)


def tell(world: Installation, client: int, model: str, rows: list[dict]) -> None:
    """Rows of the prediction log, as nights would have written them."""
    with world.superuser() as primary:
        for row in rows:
            values = {
                "prediction_uuid": uuid.uuid4(),
                "client_id": client,
                "model": model,
                "model_name": model,
                "rung": "recent",
                "entity": "pull_request" if model == "rework" else "issue",
                "feature_hash": "x",
                "response_time_ms": 1,
                "source": "nightly",
            } | row
            names = ", ".join(values)
            holes = ", ".join(f"%({name})s" for name in values)
            primary.execute(f"insert into ml.prediction_log ({names}) values ({holes})", values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lived(world: Installation) -> dict[str, list[tuple]]:
    """Predictions of months ago about what is over by now: by model (entity, label)."""
    found = {
        "complexity": world.rows(
            world.primary,
            "select id, story_points::float8, created from issues where client_id = 1 and active and story_points > 0"
            " and id not in (select entity_id from ml.prediction_log where entity = 'issue') order by id limit 120",
        ),
        "rework": world.rows(
            world.primary,
            "select id, (review_cycles > 2 or rework_commit_count > 2)::integer::float8, pr_created_at"
            " from pull_requests where client_id = 1 and active and merged_at > pr_created_at"
            " and review_cycles is not null and rework_commit_count is not null order by pr_created_at desc limit 120",
        ),
    }
    for model, rows in found.items():
        tell(
            world,
            CLIENT,
            model,
            [
                {
                    "entity_id": entity,
                    "prediction_value": min(label + 0.25, 0.9) if model == "rework" else 2 * label,
                    "input_features": Jsonb({"simple": 1.0 if model == "complexity" else 0.3, "grown": place / 10}),
                    "as_of": begun,
                }
                for place, (entity, label, begun) in enumerate(rows)
            ],
        )
    return found


def test_errors_in_service_are_those_of_the_outcomes(world: Installation, app: FastAPI, lived: dict[str, list[tuple]]):
    text = as_(app, "ann").get(f"/pages/{SLUG}/complexity").text
    drawn = figures(text)
    counts = [int(one.replace("\u202f", "")) for one in re.findall(r"<td>(\d+)</td><td>[\d.]+ points", text)]
    assert sum(counts) >= 100
    # Twice the points were told: off by the label itself, the simple rung by its distance to one.
    labels = [label for _, label, _ in lived["complexity"]]
    told = [y for y in drawn["service"]["data"][0]["y"]]
    rows = [count for count in reversed(counts)]
    assert sum(y * n for y, n in zip(told, rows, strict=True)) / sum(rows) == pytest.approx(
        sum(labels) / len(labels), rel=0.05
    )
    dots = drawn["actual"]["data"][0]
    assert len(dots["x"]) == len(dots["y"]) >= 100
    assert sum(x == pytest.approx(2 * y) for x, y in zip(dots["x"], dots["y"], strict=True)) >= len(labels) * 0.9


def test_calibration_is_that_of_the_outcomes(world: Installation, app: FastAPI, lived: dict[str, list[tuple]]):
    drawn = figures(as_(app, "ann").get(f"/pages/{SLUG}/rework").text)["actual"]["data"][0]
    assert drawn["x"] == sorted(drawn["x"]) and len(drawn["x"]) >= 4
    assert drawn["y"][0] <= 0.2 and drawn["y"][-1] >= 0.9


def test_a_grown_feature_is_beyond_luck(world: Installation, app: FastAPI):
    """40 answers of before and 40 of lately, with a feature that has moved and one that has not."""
    newest = datetime.datetime(2031, 1, 1)
    tell(
        world,
        OTHER,
        "rework",
        [
            {
                "entity_id": 10_000_000 + place,
                "prediction_value": 0.3,
                "input_features": Jsonb({"moved": (place >= 40) * 2 + place % 5, "still": place % 7}),
                "as_of": newest - datetime.timedelta(days=100 if place < 40 else 1),
            }
            for place in range(80)
        ],
    )
    demo_night.look_for_drift(world, OTHER, "rework")
    drawn = figures(as_(app, "bob").get(f"/pages/{THEIRS}/rework").text)["drift"]["data"]
    beyond, within = drawn
    assert beyond["y"] == ["moved"] and beyond["x"][0] == pytest.approx(2 / 1.43, abs=0.05)
    assert within["y"] == ["still"]


def test_ranges_are_covered_where_answers_have_them():
    """How often the outcome was in each range; of what had none, and of probabilities, nothing is said."""
    from include.foresight import track_record
    from include.foresight.track_record import Outcome, Told

    moment = datetime.datetime(2026, 1, 1)
    said = {"low_50": 3.0, "high_50": 6.5, "low_80": 1.0, "high_80": 9.0, "p85": 9.0}
    rows = [Outcome(Told(one, moment, 5.0, None, said), float(one)) for one in range(11)]
    rows.append(Outcome(Told(11, moment, 5.0, None, {}), 5.0))
    found = track_record.coverage(rows)
    assert [one.name for one in found] == ["50 % range", "80 % range", "up to P85"]
    assert [one.promised for one in found] == [0.5, 0.8, 0.85]
    assert [one.share for one in found] == pytest.approx([3.5 / 11, 8 / 11, 9.5 / 11])
    probability = {"raw": 0.4, "value": 0.3, "low_80": 0.1, "high_80": 0.5, "low_50": 0.2, "high_50": 0.4}
    assert track_record.coverage([Outcome(Told(1, moment, 0.3, None, probability), 1.0)]) == []


def test_costs_add_up(world: Installation, app: FastAPI):
    text = as_(app, "boss").get("/pages/costs").text
    spent = dict(world.rows(world.primary, "select model, sum(cpu_seconds) from ml.training_runs group by model"))
    foot = re.search(r"<tfoot>.*</tfoot>", text, re.DOTALL)[0]
    told = [float(one) for one in re.findall(r">([\d.]+)</td>", foot)]
    assert told[:3] == pytest.approx([spent["complexity"], spent["rework"], spent["trajectory"]], abs=0.06)
    assert told[3] == pytest.approx(sum(spent.values()), abs=0.06)


# --- Who sees what


def test_nobody_gets_in_without_a_login(app: FastAPI):
    caller = TestClient(app)
    for path in ("/pages", "/pages/costs", f"/pages/{SLUG}/rework", "/pages/static/pages.css", "/pages/x/y"):
        answer = caller.get(path)
        assert answer.status_code == 401 and "Not authenticated" in answer.text
        assert SLUG not in answer.text.replace(path, "")


def test_a_key_of_a_service_opens_no_page(world: Installation, app: FastAPI):
    from include.foresight import api_keys

    with world.databases.primary() as primary:
        key = api_keys.issue(primary, "test", [CLIENT])
    world.catch_up()
    assert as_(app, key).get("/models").status_code == 200
    assert as_(app, key).get("/pages").status_code == 401


def test_a_stranger_is_told_what_he_lacks(app: FastAPI):
    answer = as_(app, "stranger").get("/pages")
    assert answer.status_code == 403 and "acts for no client" in answer.text


def test_one_sees_ones_own_clients_alone(world: Installation, app: FastAPI):
    names = dict(world.rows(world.primary, "select client_id, name from ml.clients"))
    for who, own, other in (("ann", CLIENT, OTHER), ("bob", OTHER, CLIENT)):
        caller = as_(app, who)
        for path in ("/pages", "/pages/costs"):
            said = " ".join(Tags(caller.get(path).text).texts)
            assert names[own] in said and names[other] not in said and names[TINY] not in said
            assert demo_night.SLUGS[other] not in caller.get(path).text
        slug = demo_night.SLUGS[other]
        refused, nobody = (caller.get(f"/pages/{one}/rework") for one in (slug, "nobody_at_all"))
        assert refused.status_code == nobody.status_code == 404
        assert refused.text == nobody.text, "whether there is such a client is nobody's business"
    both = as_(app, "both")
    assert len(rows_of(both.get("/pages").text)) == 6
    assert both.get(f"/pages/{SLUG}/rework").status_code == both.get(f"/pages/{THEIRS}/rework").status_code == 200


def test_without_the_filters_the_role_still_hides_other_clients(world: Installation):
    """Row-level security: the same statements as another client's role give nothing of this one's."""
    from include.foresight import dossier, overview

    with world.databases.primary() as primary:
        with primary.as_client(CLIENT) as tx:
            client = dossier.find(tx, SLUG)
        with primary.as_client(OTHER) as tx:
            found = dossier.read(tx, client, "complexity")
            assert (found.serving, found.training, found.health) == (None, None, None)
            assert not (found.nights or found.promotions or found.runs or found.checks)
            assert {line.client_id for line in overview.read(tx)} == {OTHER}
            assert {one.client_id for one in overview.costs(tx, datetime.datetime(2000, 1, 1))} == {OTHER}


def test_what_the_watch_has_asked_for_is_on_the_page(world: Installation, app: FastAPI):
    [run_id] = world.rows(world.primary, "select run_id from ml.nightly_runs where client_id = 1 limit 1")[0]
    with psycopg.connect(world.primary) as primary:
        primary.execute(
            "insert into ml.retrain_requests (request_id, client_id, model, run_id, as_of, reason, error_before,"
            " error_recent, luck) values (gen_random_uuid(), 1, 'rework', %s, '2026-01-02 03:04', 'drift in age', 1,"
            " 2, 0)",
            [run_id],
        )
    try:
        said = "2026-01-02 03:04 UTC, not started yet"
        assert f"{said}: drift in age" in as_(app, "ann").get(f"/pages/{SLUG}/rework").text
        boss = as_(app, "boss").get(f"/pages/{SLUG}/rework").text
        assert said in boss and "drift in age" not in boss
        assert said not in as_(app, "ann").get(f"/pages/{SLUG}/complexity").text
    finally:
        with psycopg.connect(world.primary) as primary:
            primary.execute("delete from ml.retrain_requests")


def test_runs_that_could_change_nothing_are_named_and_findings_are_counted(world: Installation, app: FastAPI):
    """A dry run writes no prediction: without its name it would look like a night that failed to."""

    def shown() -> tuple[int, int]:
        text = as_(app, "ann").get(f"/pages/{SLUG}/rework").text
        return text.count("(dry run)"), text.count("(of the past)")

    assert shown() == (0, 0)
    requests = ({"dry_run": True}, {"as_of": "2025-01-01T00:00:00"})
    with psycopg.connect(world.primary) as primary:
        for request in requests:
            primary.execute(
                "insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, code_version, state, request)"
                " values (gen_random_uuid(), 1, %s, '2025-01-01', 'x', 'success', %s)",
                [f"looked {request}", Jsonb(request)],
            )
        primary.execute("update ml.validation_results set passed = false, runs = 41 where check_name = 'rework_labels'")
    try:
        assert shown() == (1, 1)
        assert "rework labels: a warning, for 41 runs" in as_(app, "ann").get(f"/pages/{SLUG}/rework").text
    finally:
        with psycopg.connect(world.primary) as primary:
            primary.execute("delete from ml.nightly_runs where dag_run_id like 'looked %'")
            primary.execute("update ml.validation_results set passed = true where check_name = 'rework_labels'")


def test_the_fleets_people_see_numbers_and_no_words_about_rows(world: Installation, app: FastAPI):
    boss = as_(app, "boss")
    said = " ".join(Tags(boss.get(f"/pages/{SLUG}/complexity").text).texts)
    [(sentence, criteria)] = world.rows(
        world.primary,
        "select sentence, criteria from ml.gate_verdicts where client_id = 1 and model = 'complexity'",
    )
    [(reason,)] = world.rows(
        world.primary, "select reason from ml.model_health where client_id = 1 and model = 'complexity'"
    )
    assert sentence not in said and reason not in said
    assert not any(one["reason"] in said for one in criteria) and all(one["name"] in said for one in criteria)
    assert "Only people of the client see" in said
    assert set(figures(boss.get(f"/pages/{SLUG}/complexity").text)) == {"errors"}


def test_a_client_that_is_switched_off_is_gone(world: Installation, app: FastAPI):
    with world.superuser() as primary:
        primary.execute("update ml.clients set active = false where client_id = %s", [OTHER])
    world.catch_up()
    try:
        assert as_(app, "bob").get("/pages").status_code == 403
        assert as_(app, "both").get(f"/pages/{THEIRS}/rework").status_code == 404
        assert len(rows_of(as_(app, "boss").get("/pages").text)) == 6
    finally:
        with world.superuser() as primary:
            primary.execute("update ml.clients set active = true where client_id = %s", [OTHER])
        world.catch_up()


# --- What cannot be put into a page


@pytest.mark.parametrize("path", ["/pages", "/pages/costs", f"/pages/{SLUG}/complexity"])
def test_everything_a_browser_runs_is_a_file_of_ours(app: FastAPI, path: str):
    answer = as_(app, "ann").get(path)
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"] and policy["frame-ancestors"] == "'self'"
    tags = Tags(answer.text)
    for tag, attributes in tags.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert "style" not in attributes and tag != "style"
        for name in ("src", "href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("/pages", "#")) or target == "data:,", target
    assert all("src" in one or one.get("type") == "application/json" for one in tags.all("script"))
    for one in tags.all("script"):
        if "src" in one:
            loaded = as_(app, "ann").get(one["src"])
            assert loaded.status_code == 200 and "immutable" in loaded.headers["cache-control"]


def test_markup_in_data_is_text(world: Installation, app: FastAPI):
    """Names, reasons, sentences, keys of features: whatever may be in them."""
    names = {"features": [EVIL, "simple"]}
    with world.superuser() as primary:
        primary.execute("update ml.clients set name = %s where client_id = %s", [EVIL, CLIENT])
        primary.execute("update ml.model_health set reason = %s where client_id = %s", [EVIL, CLIENT])
        primary.execute(
            "update ml.training_runs set feature_names = %s, rows_removed = %s where client_id = %s",
            [names["features"], Jsonb({EVIL: 3}), CLIENT],
        )
        primary.execute(
            "update ml.gate_verdicts set sentence = %s, criteria = %s where client_id = %s",
            [EVIL, Jsonb([{"name": EVIL, "passed": True, "observed": 1, "threshold": None, "reason": EVIL}]), CLIENT],
        )
        primary.execute(
            "insert into ml.validation_results (run_id, client_id, check_name, severity, passed, reason)"
            " select run_id, client_id, %s, 'warn', false, %s from ml.nightly_runs where client_id = %s",
            [EVIL, EVIL, CLIENT],
        )
    world.catch_up()
    newest = datetime.datetime(2032, 1, 1)
    tell(
        world,
        CLIENT,
        "trajectory",
        [
            {
                "entity_id": 20_000_000 + place,
                "prediction_value": 1000.0 + place,
                "input_features": Jsonb({EVIL: place % 5, "</script><script>alert(3)</script>": place % 3}),
                "as_of": newest - datetime.timedelta(days=100 if place < 40 else 1),
            }
            for place in range(80)
        ],
    )
    demo_night.look_for_drift(world, CLIENT, "trajectory")
    for path in ("/pages", "/pages/costs", *(f"/pages/{SLUG}/{model}" for model in ("trajectory", "rework"))):
        answer = as_(app, "ann").get(path)
        assert answer.status_code == 200, answer.text
        assert "<script>alert" not in answer.text and "<img" not in answer.text
        tags = Tags(answer.text)
        assert not tags.all("img") and EVIL in "".join(tags.texts)
        assert all("src" in one or one.get("type") == "application/json" for one in tags.all("script"))
    drawn = figures(as_(app, "ann").get(f"/pages/{SLUG}/trajectory").text)["drift"]
    # Plotly reads markup in its labels.
    assert any(html.escape(EVIL) in one["y"] for one in drawn["data"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/pages/static/..%2f..%2fapp.py", 404),
        ("/pages/static/nothing.js", 404),
        ("/pages/UPPER/rework", 422),
        (f"/pages/{SLUG}/nothing", 404),
        ("/pages/%3Cscript%3E/rework", 422),
        ("/pages?q=" + "x" * 101, 422),
    ],
)
def test_paths_that_lead_nowhere(app: FastAPI, path: str, status: int):
    answer = as_(app, "ann").get(path)
    assert answer.status_code == status and "<script>alert" not in answer.text
    assert answer.headers["content-type"].startswith("text/html") or status == 404


def test_without_the_replica_the_rest_of_the_page_stands(world: Installation, tmp_path):
    nowhere = psycopg.conninfo.make_conninfo(world.app(REPLICA), port="1")
    places = {PRIMARY: world.app(PRIMARY), REPLICA: nowhere}
    app = create_app(lambda: Service.start(places.__getitem__, tmp_path), person=person)
    try:
        answer = as_(app, "ann").get(f"/pages/{SLUG}/complexity")
        assert answer.status_code == 200 and "replica does not answer" in answer.text
        assert "errors" in figures(answer.text)
    finally:
        app.state.service.service.stop()


def test_without_the_primary_a_person_is_told(world: Installation, tmp_path):
    nowhere = psycopg.conninfo.make_conninfo(world.app(PRIMARY), port="1")
    places = {PRIMARY: nowhere, REPLICA: world.app(REPLICA)}
    app = create_app(lambda: Service.start(places.__getitem__, tmp_path), person=person)
    try:
        answer = as_(app, "ann").get("/pages")
        assert answer.status_code == 503 and answer.headers["content-type"].startswith("text/html")
        assert "Database away" in answer.text
    finally:
        app.state.service.service.stop()


# --- How fast


FLEET = """
with
made as (
    insert into ml.clients (client_id, slug, name, provisioned_at)
    select n, 'fleet_' || n, 'Fleet ' || n, now() from generate_series(10001, 10300) as n
    returning client_id
),
runs as (
    insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, state, phases, code_version, started_at)
    select gen_random_uuid(), client_id, 'night ' || night, date '2026-01-01' + night, 'success', '{"watch": {}}', 'x',
        date '2026-01-01' + night
    from made cross join generate_series(1, 30) as night
    returning run_id, client_id, started_at, as_of
),
trainings as (
    insert into ml.training_runs (
        model_uuid, run_id, client_id, model, model_name, spec_digest, status, rung, replica_conn_id, cpu_seconds,
        seconds, code_version, started_at
    )
    select gen_random_uuid(), run_id, client_id, model, model, 'x', 'trained', 'boosted', 'foresight_replica', 1, 1,
        'x', started_at
    from runs cross join unnest(array['complexity', 'rework', 'trajectory']) as model
    returning model_uuid, run_id, client_id, model, started_at
),
verdicts as (
    insert into ml.gate_verdicts (
        verdict_id, run_id, model_uuid, client_id, model, passed, decision, judged_version, criteria, scores,
        rows_judged, sentence, created_at
    )
    select gen_random_uuid(), run_id, model_uuid, client_id, model, true, 'promote', 0, '[]',
        jsonb_build_object(
            'challenger', jsonb_build_object('error', 0.2 + random() / 5),
            'simple', jsonb_build_object('error', 0.4)
        ),
        100, 'x', started_at
    from trainings
),
health as (
    insert into ml.model_health (client_id, model, run_id, status, reason)
    select client_id, model, run_id, (array['healthy', 'degraded', 'unhealthy'])[1 + client_id % 3], 'x' from trainings
)
insert into ml.champions (client_id, model, version, rung, model_name, replica_conn_id)
select client_id, model, 1, 'recent', 'x', 'foresight_replica'
from made cross join unnest(array['complexity', 'rework', 'trajectory']) as model
"""

WITHIN = 1.0


def test_three_hundred_clients_are_listed_within_a_second(world: Installation, app: FastAPI):
    with world.superuser() as primary:
        primary.execute(FLEET)
        primary.execute("analyze")
    boss = as_(app, "boss")
    boss.get("/pages")
    for path, count in (("/pages", 909), ("/pages/costs", 303)):
        took = []
        for _ in range(3):
            began = time.perf_counter()
            answer = boss.get(path)
            took.append(time.perf_counter() - began)
        assert answer.status_code == 200 and answer.text.count('<th scope="row"') >= count
        assert sorted(took)[1] < WITHIN, took
    # Everybody's first error of the last twelve is drawn.
    assert len(re.findall(r'<polyline class="served"', boss.get("/pages").text)) >= 900
