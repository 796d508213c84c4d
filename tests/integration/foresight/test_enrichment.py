"""Predictions beside the platform's rows: what is written, what it says, and who reads it."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import math
from dataclasses import dataclass, replace

import psycopg
import pytest

from include.foresight import enrichment, features, model_specs, monitoring, pgml, promotion, training
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.enrichment import Enriched
from include.foresight.runs import Run
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import AS_OF, Bench, Desk, Killed, ago

COMPLEXITY, REWORK, TRAJECTORY = map(model_specs.read, ("complexity", "rework", "trajectory"))
DAY = 86400.0
WORDS = {1: "typo", 2: "button", 3: "form", 5: "service", 8: "migration"}


@dataclass
class World:
    """A client with a night behind it. The lists are ids."""

    bench: Bench
    desk: Desk
    run: Run
    enriched: dict[str, Enriched]
    unestimated: list[int]
    hasty: list[int]
    careful: list[int]
    young_epic: int
    old_epic: int

    @property
    def open_pulls(self) -> list[int]:
        return [*self.hasty, *self.careful]


@pytest.fixture(scope="module")
def world(installed: Installation, databases: Databases, client_ids) -> World:
    """Points stand in the summary as a word; one author's pull requests always need rework, the other's never."""
    bench = nights.bench(installed, databases, next(client_ids))
    desk = nights.desk(installed, bench.client_id)
    points = list(WORDS) * 32
    desk.insert(
        "issues",
        [
            desk.issue(summary=f"Work on the {WORDS[p]} of it", story_points=p, created=ago(300 - n), status="Done")
            for n, p in enumerate(points)
        ],
    )
    unestimated = desk.insert(
        "issues", [desk.issue(summary=f"Work on the {word} of it", type="Task") for word in WORDS.values()]
    )
    leads = (10, 20, 30)
    desk.insert(
        "issues",
        [
            desk.issue(type="Epic", status="Done", created=ago(200), work_last_completed_at=ago(200 - lead))
            for lead in leads
        ],
    )
    young_epic, old_epic = desk.insert(
        "issues", [desk.issue(type="Epic", created=ago(5)), desk.issue(type="Epic", created=ago(15))]
    )
    merged = [
        # Two a day: who opens one must not be told by the hour.
        desk.pull_request(
            user_name="hasty" if n // 2 % 2 else "careful",
            review_cycles=5 if n // 2 % 2 else 1,
            rework_commit_count=0,
            status="merged",
            pr_created_at=ago(150 - n / 2),
            merged_at=ago(149 - n / 2),
            closed_at=ago(149 - n / 2),
        )
        for n in range(240)
    ]
    desk.insert("pull_requests", merged)
    hasty = desk.insert("pull_requests", [desk.pull_request(user_name="hasty") for _ in range(3)])
    careful = desk.insert("pull_requests", [desk.pull_request(user_name="careful") for _ in range(3)])
    # None of these is to be predicted.
    desk.insert(
        "issues",
        [
            desk.issue(active=False),
            desk.issue(active=True, status="Done"),
            desk.issue(active=True, story_points=3),
        ],
    )
    desk.insert("pull_requests", [desk.pull_request(status="closed", closed_at=ago(1))])
    installed.catch_up()
    run = bench.night()
    specs = [COMPLEXITY, REWORK, TRAJECTORY]
    training.train(databases, run, specs, {})
    promotion.gate(databases, run, specs)
    enriched = {one.model: one for one in enrichment.enrich(databases, run, specs)}
    return World(bench, desk, run, enriched, unestimated, hasty, careful, young_epic, old_epic)


def predictions(bench: Bench, model: str, table: str = "issue") -> dict[int, tuple]:
    """Entity → (value, grade, rung, model uuid, as_of, prediction uuid)."""
    rows = bench.rows(
        f"{table}_id, value, grade, rung, model_uuid, as_of, prediction_uuid",
        f"{table}_predictions",
        "and model = %(model)s",
        model=model,
    )
    return {row[0]: row[1:] for row in rows}


def logged(bench: Bench, run: Run, columns: str = "*") -> list[tuple]:
    return bench.rows(columns, "prediction_log", "and run_id = %(run_id)s order by entity_id", run_id=run.run_id)


def test_every_open_entity_is_predicted_and_no_other(world: World):
    assert predictions(world.bench, "complexity").keys() == set(world.unestimated)
    assert predictions(world.bench, "rework", "pull_request").keys() == set(world.open_pulls)
    assert predictions(world.bench, "trajectory").keys() == {world.young_epic, world.old_epic}
    assert {model: one.written for model, one in world.enriched.items()} == {
        "complexity": 5,
        "rework": 6,
        "trajectory": 2,
    }
    assert {model: (one.rung, one.remark) for model, one in world.enriched.items()} == {
        # Which of the trained rungs is a matter of earlier rows.
        **{model: (rung, None) for model, rung in world.bench.rows("model, rung", "training_runs", "and rung <> ''")},
        "trajectory": ("recent", None),
    }


def test_the_models_say_what_they_could_learn(world: World):
    values = [predictions(world.bench, "complexity")[issue][0] for issue in world.unestimated]
    assert values == pytest.approx(list(WORDS), rel=0.3) and values == sorted(values)
    chances = {pull: row[0] for pull, row in predictions(world.bench, "rework", "pull_request").items()}
    assert min(chances[pull] for pull in world.hasty) > max(chances[pull] for pull in world.careful)


def test_the_log_has_where_a_prediction_comes_from(world: World):
    rows = logged(
        world.bench,
        world.run,
        "model, entity, entity_id, prediction_uuid, prediction_value, model_name, model_uuid, rung, feature_hash,"
        " source, as_of, active, response_time_ms",
    )
    assert len(rows) == 13
    client = world.bench.client_id
    trainings = dict(world.bench.rows("model, model_uuid", "training_runs"))
    hashes = dict(world.bench.rows("model, feature_hash", "training_runs"))
    names = {
        "complexity": f"issue_complexity_estimator_client_{client}_v1",
        "rework": f"pr_rework_classifier_client_{client}_v1",
        "trajectory": f"project_trajectory_forecast_client_{client}_v1",
    }
    for model, entity, entity_id, uuid, value, name, model_uuid, rung, feature_hash, source, as_of, active, ms in rows:
        kept = predictions(world.bench, model, entity)[entity_id]
        assert (value, rung, model_uuid, as_of, uuid) == (kept[0], *kept[2:])
        assert (name, source, as_of, active) == (names[model], "nightly", AS_OF, True)
        assert feature_hash == hashes[model] and ms > 0
        assert model_uuid == (None if model == "trajectory" else trainings[model])


@pytest.mark.parametrize("spec", [COMPLEXITY, REWORK], ids=lambda spec: spec.model)
def test_the_model_gives_the_same_answer_to_the_logged_features(world: World, spec):
    """By the id of the model, row by row, as a person would ask."""
    [(names, model_id)] = world.bench.rows(
        "feature_names, pgml_model_id", "training_runs", "and model = %(model)s", model=spec.model
    )
    logs = logged(
        world.bench, world.run, "model, coalesce((ranges ->> 'raw')::float8, prediction_value), input_features"
    )
    rows = [(value, stored) for model, value, stored in logs if model == spec.model]
    assert rows
    with world.bench.databases.session(REPLICA) as replica, replica.as_client(world.bench.client_id) as tx:
        for value, stored in rows:
            values = [float(stored[name]) for name in names]
            answer = pgml.answer(tx, features.scale(spec), model_id, values, stored["simple"])
            assert answer == pytest.approx(value, rel=1e-5)


def test_the_night_after_finds_the_models_healthy(world: World):
    found = monitoring.watch(world.bench.databases, world.run, [COMPLEXITY, REWORK, TRAJECTORY])
    assert [(health.model, health.status) for health in found] == [
        ("complexity", "healthy"),
        ("rework", "healthy"),
        ("trajectory", "degraded"),
    ]


def test_words_say_how_sure_an_answer_is(world: World):
    for value, grade, *_ in predictions(world.bench, "rework", "pull_request").values():
        assert grade == ("low" if value < 0.3 else "medium" if value < 0.6 else "high")
    grades = {pull: row[1] for pull, row in predictions(world.bench, "rework", "pull_request").items()}
    assert {grades[pull] for pull in world.hasty} == {"high"} and {grades[pull] for pull in world.careful} == {"low"}
    # The model's ranges are much narrower than the client's own labels lie; of epics too few are known to tell.
    assert {row[1] for row in predictions(world.bench, "complexity").values()} <= {"high", "medium"}
    assert {row[1] for row in predictions(world.bench, "trajectory").values()} == {"low"}


def test_every_prediction_has_its_ranges(world: World):
    for model, entity in (("complexity", "issue"), ("trajectory", "issue"), ("rework", "pull_request")):
        rows = world.bench.rows(
            "low_80, low_50, value, high_50, high_80, p85",
            f"{entity}_predictions",
            "and model = %(model)s",
            model=model,
        )
        assert rows
        for low_80, low_50, value, high_50, high_80, p85 in rows:
            assert low_80 <= value <= high_80 and low_50 <= value <= high_50, model
            assert high_50 - low_50 <= high_80 - low_80
            assert low_80 >= 0
            assert (p85 is None) == (model == "rework") and (p85 is None or p85 >= value)
    for ranges, low_80, p85 in world.bench.rows(
        "log.ranges, kept.low_80, kept.p85",
        "prediction_log as log join ml.issue_predictions as kept using (prediction_uuid, client_id)",
    ):
        assert (ranges["low_80"], ranges["p85"]) == (low_80, p85)


def as_reader(installed: Installation, query: str, *values: object) -> list[tuple]:
    """Through the application's login, as a backend of the platform's reads."""
    with psycopg.connect(installed.app(PRIMARY)) as connection:
        connection.execute("set local role foresight_reader")
        return connection.execute(query, values).fetchall()


def test_the_reader_sees_predictions_beside_the_platforms_rows(world: World, installed: Installation):
    rows = as_reader(
        installed,
        "select i.id, e.key, i.summary, ml_estimated_story_points, ml_estimation_confidence"
        " from public.issues as i join ml.issues_enriched as e on e.id = i.id where i.client_id = %s",
        world.bench.client_id,
    )
    assert len(rows) == 160 + 5 + 5 + 3
    estimated = {row[0]: row[3:] for row in rows if row[3] is not None}
    assert estimated == {issue: row[:2] for issue, row in predictions(world.bench, "complexity").items()}
    assert all(key and summary for _, key, summary, *_ in rows)
    rows = as_reader(
        installed,
        "select id, number, ml_rework_probability, ml_risk_level from ml.pull_requests_enriched where client_id = %s",
        world.bench.client_id,
    )
    assert len(rows) == 240 + 6 + 1
    rated = {row[0]: row[2:] for row in rows if row[2] is not None}
    assert rated == {pull: row[:2] for pull, row in predictions(world.bench, "rework", "pull_request").items()}


def test_a_trajectory_counts_from_the_moment_of_the_prediction(world: World, installed: Installation):
    """Epics took 10, 20 and 30 days. The old one is 15 days old: those that lived longer had 5 and 15 days left. Three
    labels are few: both are drawn to the prior's 30 days."""
    rows = as_reader(
        installed,
        "select id, ml_predicted_completion_date, ml_predicted_lead_time_seconds, ml_prediction_confidence"
        " from ml.issues_enriched where id = any(%s) order by created",
        [world.young_epic, world.old_epic],
    )
    assert [(row[0], row[3]) for row in rows] == [(world.old_epic, "low"), (world.young_epic, "low")]
    for (_, end, lead, _), left, age in zip(rows, (10, 15), (15, 5), strict=True):
        remaining = math.exp((3 * math.log1p(left * DAY) + 4.25 * math.log1p(30 * DAY)) / 7.25) - 1
        assert lead == pytest.approx(remaining + age * DAY, abs=1)
        assert (end - AS_OF).total_seconds() == pytest.approx(remaining, abs=1)


def test_absurd_rows_do_not_end_the_readers_query(world: World, installed: Installation):
    [undated, endless] = world.desk.insert(
        "issues",
        [
            world.desk.issue(type="Epic", status="Done", created=created)
            for created in (None, datetime.datetime(1, 1, 1))
        ],
    )
    with psycopg.connect(installed.primary) as connection:
        connection.execute("update issues set created = '-infinity' where id = %s", [endless])
    for issue in (undated, endless):
        row = {"client_id": world.bench.client_id, "model": "trajectory", "issue_id": issue}
        row |= {"prediction_uuid": world.run.run_id, "value": 2.7e43, "grade": "low", "rung": "linear", "as_of": AS_OF}
        nights.insert(installed.primary, "issue_predictions", row)
    try:
        rows = as_reader(
            installed,
            "select ml_predicted_lead_time_seconds, ml_predicted_completion_date > now() from ml.issues_enriched"
            " where id = any(%s)",
            [undated, endless],
        )
        assert rows == [(None, True), (None, True)]
    finally:
        with psycopg.connect(installed.primary) as connection:
            connection.execute("delete from ml.issue_predictions where issue_id = any(%s)", [[undated, endless]])


def test_the_reader_sees_no_row_of_anything_else_of_ours(world: World, installed: Installation):
    for table in ("prediction_log", "training_runs", "gate_verdicts", "champions", "clients", "nightly_runs"):
        assert installed.rows(installed.primary, f"select count(*) > 0 from ml.{table}") == [(True,)]
        assert as_reader(installed, f"select count(*) from ml.{table}") == [(0,)], table


# What follows needs no trained model: clients of their own, served by hand.


@dataclass
class Small:
    """A client with thirty estimated issues and four to estimate."""

    bench: Bench
    desk: Desk
    unestimated: list[int]

    def enrich(self, run: Run, databases: Databases | None = None) -> Enriched:
        [enriched] = enrichment.enrich(databases or self.bench.databases, run, [COMPLEXITY])
        return enriched

    def counts(self) -> tuple[int, int]:
        """Predictions and rows of the log."""
        return len(predictions(self.bench, "complexity")), len(self.bench.rows("1", "prediction_log"))


@pytest.fixture
def small(installed: Installation, databases: Databases, client_ids) -> Small:
    return furnished(installed, databases, next(client_ids))


def furnished(installed: Installation, databases: Databases, client_id: int, **registry: object) -> Small:
    bench = nights.bench(installed, databases, client_id, **registry)
    desk = nights.desk(installed, client_id)
    desk.insert("issues", [desk.issue(story_points=5, created=ago(100 - n), status="Done") for n in range(30)])
    unestimated = desk.insert("issues", [desk.issue() for _ in range(4)])
    installed.catch_up()
    bench.serve(None)
    return Small(bench, desk, unestimated)


def test_a_past_moment_never_overwrites_a_newer_prediction(small: Small):
    assert small.enrich(small.bench.night(AS_OF)).written == 4
    newest = predictions(small.bench, "complexity")
    past = small.bench.night(ago(1), past=True)
    assert small.enrich(past).written == 0
    assert predictions(small.bench, "complexity") == newest
    # It is logged, and no part of what people were told.
    assert logged(small.bench, past, "as_of, active") == [(ago(1), False)] * 4
    later = small.bench.night(AS_OF + datetime.timedelta(days=1))
    assert small.enrich(later).written == 4
    assert {row[4] for row in predictions(small.bench, "complexity").values()} == {later.as_of}


def test_a_run_that_was_overtaken_overwrites_nothing(small: Small):
    overtaken = small.bench.night(ago(1))
    small.enrich(small.bench.night(AS_OF, state="success"))
    newest = predictions(small.bench, "complexity")
    assert small.enrich(overtaken).written == 0
    assert predictions(small.bench, "complexity") == newest


def test_predictions_of_a_clock_that_has_gone_back_are_overwritten(small: Small):
    """As after a typing error in the data was corrected."""
    small.enrich(small.bench.night(AS_OF + datetime.timedelta(days=200), state="success"))
    run = small.bench.night(AS_OF)
    assert small.enrich(run).written == 4
    assert {row[4] for row in predictions(small.bench, "complexity").values()} == {AS_OF}


def test_a_repeated_task_writes_nothing_twice(small: Small):
    run = small.bench.night()
    first = small.enrich(run)
    found, log = predictions(small.bench, "complexity"), logged(small.bench, run)
    assert small.enrich(run) == first
    assert predictions(small.bench, "complexity") == found and logged(small.bench, run) == log and len(log) == 4


def test_a_repeated_task_that_answers_otherwise_logs_that_too(small: Small, installed: Installation):
    """Rows may have changed between two tries: what stands beside the issue must be in the log."""
    run = small.bench.night()
    small.enrich(run)
    with psycopg.connect(installed.platform) as connection:
        connection.execute(
            "update issues set story_points = 8 where client_id = %s and story_points = 5", [small.bench.client_id]
        )
    installed.catch_up()
    small.enrich(run)
    answers = dict(logged(small.bench, run, "prediction_uuid, prediction_value"))
    assert sorted(answers.values()) == [5.0] * 4 + [8.0] * 4
    for value, *_, uuid in predictions(small.bench, "complexity").values():
        assert (value, answers[uuid]) == (8.0, 8.0)


def test_a_dry_run_writes_nothing(small: Small):
    assert enrichment.enrich(small.bench.databases, small.bench.night(dry_run=True), [COMPLEXITY]) == []
    assert small.counts() == (0, 0)


def test_a_client_that_wants_no_predictions_gets_none(installed: Installation, databases, client_ids):
    silent = furnished(installed, databases, next(client_ids), ml_predictions_enabled=False)
    assert enrichment.enrich(databases, silent.bench.night(), [COMPLEXITY]) == []
    assert silent.counts() == (0, 0)


def feature_hash(bench: Bench) -> str:
    with bench.databases.session(REPLICA) as replica, replica.as_client(bench.client_id) as tx:
        return features.feature_hash(features.score(tx, COMPLEXITY, bench.client_id, AS_OF))


def test_for_a_missing_model_the_simple_rung_answers_and_says_so(small: Small):
    run = small.bench.night()
    lost = nights.Model(run.run_id, 999_999_999)
    small.bench.serve(lost, feature_hash=feature_hash(small.bench))
    enriched = small.enrich(run)
    assert (enriched.rung, enriched.written) == ("recent", 4)
    assert enriched.remark == (
        f"model {run.run_id} is missing on its replica: the simple rung answers until it is retrained"
    )
    assert {row[:4] for row in predictions(small.bench, "complexity").values()} == {(5.0, "low", "recent", None)}
    assert set(logged(small.bench, run, "rung, model_uuid")) == {("recent", None)}


def test_for_a_model_of_other_features_the_simple_rung_answers_and_says_so(small: Small):
    run = small.bench.night()
    small.bench.serve(nights.Model(run.run_id, 999_999_999), feature_hash="of others")
    enriched = small.enrich(run)
    assert (enriched.rung, enriched.written) == ("recent", 4)
    assert enriched.remark.startswith(f"model {run.run_id} was trained on other features than today's")


def test_a_client_without_any_label_is_answered_by_the_prior(installed: Installation, databases, client_ids):
    new = nights.bench(installed, databases, next(client_ids))
    desk = nights.desk(installed, new.client_id)
    [issue, epic, _] = desk.insert("issues", [desk.issue(), desk.issue(type="Epic"), desk.issue()])
    [pull] = desk.insert("pull_requests", [desk.pull_request()])
    installed.catch_up()
    run = new.night()
    specs = [COMPLEXITY, REWORK, TRAJECTORY]
    assert {one.status for one in training.train(databases, run, specs, {})} == {"too_little_data"}
    assert {one.served_by for one in promotion.gate(databases, run, specs)} == {"recent"}
    # What answers is told as what it is, and that everybody gets the same.
    assert [(one.model, one.rung, one.written, one.constant) for one in enrichment.enrich(databases, run, specs)] == [
        ("complexity", "prior", 2, "all 2 predictions are the same: 3 points"),
        ("rework", "prior", 1, None),
        ("trajectory", "prior", 1, None),
    ]
    assert predictions(new, "complexity")[issue][:4] == (COMPLEXITY.prior, "low", "prior", None)
    assert predictions(new, "trajectory")[epic][:4] == (TRAJECTORY.prior, "low", "prior", None)
    assert predictions(new, "rework", "pull_request")[pull][:4] == (REWORK.prior, "low", "prior", None)
    assert set(logged(new, run, "rung")) == {("prior",)}


def test_types_count_by_the_names_that_the_platform_maps_them_to(small: Small, installed: Installation):
    """Historia is a story and Épica an epic; what is mapped to neither stays what it is."""
    with psycopg.connect(installed.platform) as platform:
        for kind, theirs, mapped in (
            ("Story", "Historia", "Story"),
            ("Epic", "Épica", "Epic"),
            ("Bug", "Error", "Fallo"),
        ):
            mapping = {"issuetype_from": theirs, "issuetype_to": mapped, "client_id": small.bench.client_id}
            [mapping_id] = small.desk.insert("issuetype_mappings", [mapping])
            platform.execute(
                "update issuetypes set original_name = %s, issuetype_mapping_id = %s where id = %s",
                [theirs, mapping_id, small.desk.types[kind]],
            )
    [epic, _] = small.desk.insert("issues", [small.desk.issue(type="Epic"), small.desk.issue(type="Bug")])
    installed.catch_up()
    replace(small.bench, spec=TRAJECTORY).serve(None)
    enriched = enrichment.enrich(small.bench.databases, small.bench.night(), [COMPLEXITY, TRAJECTORY])
    assert {one.model: one.written for one in enriched} == {"complexity": 4, "trajectory": 1}
    # Learned from thirty Historias of five points.
    assert {row[0] for row in predictions(small.bench, "complexity").values()} == {5.0}
    assert predictions(small.bench, "trajectory").keys() == {epic}


def test_a_client_without_champion_or_rows_writes_nothing(installed: Installation, databases, client_ids):
    bare = nights.bench(installed, databases, next(client_ids))
    assert enrichment.enrich(databases, bare.night(), [COMPLEXITY]) == []
    bare.serve(None)
    assert enrichment.enrich(databases, bare.night(), [COMPLEXITY]) == [Enriched("complexity", "recent", 0, 0)]


def test_quarantined_rows_are_left_out_and_counted(small: Small, installed: Installation):
    with psycopg.connect(installed.replica) as connection:
        connection.execute(
            f"insert into {small.bench.schema}.quarantine values ('issue', %s, 'a check', 'why', gen_random_uuid())",
            [small.unestimated[0]],
        )
    enriched = small.enrich(small.bench.night())
    assert (enriched.written, enriched.excluded) == (3, 1)
    assert predictions(small.bench, "complexity").keys() == set(small.unestimated[1:])


def test_a_write_that_is_cut_off_leaves_nothing(small: Small, installed: Installation):
    """The server ends the backend after the first exchange, after the second, ... until all is written."""
    run = small.bench.night()
    seen = []
    for exchanges in itertools.count(1):
        dying = nights.with_primary(small.bench.databases, nights.dying(installed, exchanges))
        finished = False
        with contextlib.suppress(Killed, psycopg.OperationalError):
            small.enrich(run, dying)
            finished = True
        seen.append(small.counts())
        if finished:
            break
    assert set(seen) == {(0, 0), (4, 4)}
    # Only the last kill, after the commit, came too late.
    assert seen.index((4, 4)) == len(seen) - 2 > 12


def test_rows_travel_in_one_copy(small: Small, installed: Installation, tmp_path):
    """However many rows there are, the statements stay as many."""

    def traced() -> tuple[int, int]:
        with open(tmp_path / "trace", "wb") as trace:

            def connect() -> psycopg.Connection:
                connection = psycopg.connect(installed.app(PRIMARY))
                connection.pgconn.trace(trace.fileno())
                return connection

            small.enrich(small.bench.night(), nights.with_primary(small.bench.databases, connect))
        messages = [line.split("\t")[3] for line in (tmp_path / "trace").read_text().splitlines() if "\t" in line]
        return messages.count("ReadyForQuery"), messages.count("CopyInResponse")

    few = traced()
    assert few[1] == 1
    small.desk.insert("issues", [small.desk.issue() for _ in range(60)])
    installed.catch_up()
    assert traced() == few
    assert small.counts()[0] == 64
