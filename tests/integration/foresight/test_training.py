"""Nights of the generated clients: what is trained, on which rows, and when it is left alone."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.foresight import features, model_specs, names, nightly, pgml, runs, training
from include.foresight.database import REPLICA, Databases
from include.foresight.errors import FitTimedOut, ForeignRows, ModelsFailed
from include.foresight.features import CONTRACT
from include.foresight.runs import Request, Run
from tests.support import demo_night, nights
from tests.support.demo_night import Night
from tests.support.installation import Installation

CLIENT = 1
SLUG = demo_night.SLUGS[CLIENT]
MODELS = ("complexity", "rework", "trajectory")


@pytest.fixture(scope="module")
def world(new_pair: Callable[..., contextlib.AbstractContextManager[Installation]]) -> Iterator[Installation]:
    with new_pair() as made:
        demo_night.load(made)
        yield made


@pytest.fixture(scope="module")
def databases(world: Installation) -> Iterator[Databases]:
    with nights.warm(world) as made:
        yield made


@pytest.fixture(scope="module")
def first(world: Installation, databases: Databases) -> Night:
    return demo_night.live(databases, SLUG, "first")


def replica_rows(world: Installation, query: str, **values: object) -> list[tuple]:
    return world.rows(world.replica, query, values)


def test_three_models_are_trained(world: Installation, first: Night):
    assert not first.errors
    rows = demo_night.trainings(world, first)
    assert set(rows) == set(MODELS)
    for model, row in rows.items():
        assert row["status"] == "trained" and row["rung"] in ("boosted", "linear"), row["reason"]
        assert row["rows_train"] > 200 and row["rows_test"] > 50
        assert row["feature_hash"] == features.feature_hash(row["feature_names"])
        assert row["model_name"].endswith("_client_1_v1") and row["seconds"] > 0
        [(status, project)] = replica_rows(
            world,
            "select m.status, p.name from pgml.models as m join pgml.projects as p on p.id = m.project_id"
            " where m.id = %(id)s",
            id=row["pgml_model_id"],
        )
        assert (status, project) == ("successful", row["model_name"]), model


@pytest.mark.parametrize("model", MODELS)
def test_a_training_table_is_one_clients_and_split_in_time(world: Installation, first: Night, model: str):
    row = demo_night.trainings(world, first)[model]
    table = demo_night.table(CLIENT, row)
    parts = dict(replica_rows(world, f"select part, count(*) from {table} group by part"))
    assert (parts["train"], parts["test"]) == (row["rows_train"], row["rows_test"])
    # Nothing is lost in silence: what is neither learned from nor judged on has its reason.
    assert sum(row["rows_removed"].values()) == parts.get("excluded", 0) + parts.get("between", 0)
    assert replica_rows(world, f"select distinct client_id from {table}") == [(CLIENT,)]
    [(learned, judged)] = replica_rows(
        world,
        f"select max(known_at) filter (where part = 'train'), min(moment) filter (where part = 'test') from {table}",
    )
    assert learned <= row["cut_at"] < judged
    [(owner,)] = replica_rows(
        world,
        "select tableowner from pg_tables where schemaname = %(schema)s and tablename = %(name)s",
        schema=names.client_schema(CLIENT),
        name=row["training_table"],
    )
    assert owner == names.client_role(CLIENT)


def test_the_view_shows_training_rows_first(world: Installation, first: Night):
    row = demo_night.trainings(world, first)["rework"]
    view = f"{names.client_schema(CLIENT)}.{names.ordered_view(row['training_table'])}"
    with psycopg.connect(world.replica) as connection:
        cursor = connection.execute(f"select * from {view}")
        assert [column.name for column in cursor.description] == ["label", *row["feature_names"]]
        shown = [label for label, *_ in cursor]
    table = demo_night.table(CLIENT, row)
    stored = replica_rows(
        world,
        f"select label::integer from {table} where part in ('train', 'test') order by part = 'test', moment, entity_id",
    )
    assert shown == [label for (label,) in stored] and set(shown) == {0, 1}


def learned(row: Mapping[str, Any]) -> str:
    """The name of the label that a training has chosen to learn."""
    metrics = row["metrics"]
    return pgml.relative_name(metrics["steps"]) if metrics["target"] == pgml.RELATIVE else pgml.LABEL


def test_the_same_table_gives_the_same_bytes(world: Installation, databases: Databases, first: Night):
    row = demo_night.trainings(world, first)["complexity"]
    spec = model_specs.read("complexity")
    with databases.session(REPLICA) as replica:
        again = pgml.train(
            databases,
            REPLICA,
            CLIENT,
            project=row["model_name"],
            task=spec.task,
            relation=f"{names.client_schema(CLIENT)}.{names.ordered_view(row['training_table'])}",
            algorithm=row["ladder"][-1]["algorithm"],
            hyperparams=row["ladder"][-1]["hyperparams"],
            test_rows=row["rows_test"],
            limit=60,
            session=replica,
            label=learned(row),
        )
    files = replica_rows(
        world,
        "select path, part, count(distinct data) from pgml.files where model_id = any(%(ids)s) group by path, part",
        ids=[row["pgml_model_id"], again.model_id],
    )
    assert files and all(different == 1 for *_, different in files)


def test_a_task_that_is_repeated_trains_nothing_again(world: Installation, databases: Databases, first: Night):
    before = replica_rows(world, "select count(*) from pgml.models")
    again = nightly.train(databases, SLUG, first.dag_run_id)
    assert {found["status"] for found in again.values()} == {"trained"}
    assert replica_rows(world, "select count(*) from pgml.models") == before


def test_rows_that_have_not_changed_are_not_trained_again(world: Installation, databases: Databases, first: Night):
    assert demo_night.live(databases, SLUG, "nothing new").state == "unchanged"
    # A new open issue is news for the night, and changes no label.
    world.insert(
        "issues",
        {
            "key": "NEW-1",
            "summary": "An open issue without points",
            "created": demo_night.END - datetime.timedelta(days=2),
            "last_updated_at": demo_night.END,
            "client_id": CLIENT,
            "issuetype_id": world.rows(
                world.primary, "select min(id) from issuetypes where client_id = 1 and original_name = 'Story'"
            )[0][0],
        },
    )
    world.catch_up()
    night = demo_night.live(databases, SLUG, "an open issue")
    assert night.state == "prepared"
    assert {row["status"] for row in demo_night.trainings(world, night).values()} == {"unchanged"}


def test_one_model_may_be_asked_for_and_forced(world: Installation, databases: Databases, first: Night):
    night = demo_night.live(databases, SLUG, "forced", models=["rework"], force_retrain=True)
    assert {model: row["status"] for model, row in demo_night.trainings(world, night).items()} == {"rework": "trained"}


def test_a_changed_label_waits_until_a_training_is_due_or_asked_for(
    world: Installation, databases: Databases, first: Night
):
    before = demo_night.live(databases, SLUG, "before", models=["complexity"], force_retrain=True)
    table = demo_night.table(CLIENT, demo_night.trainings(world, before)["complexity"])
    [(issue,)] = replica_rows(world, f"select max(entity_id) from {table} where part = 'test' and label < 8")
    with psycopg.connect(world.platform) as platform:
        platform.execute("update issues set story_points = story_points + 1 where id = %s", [issue])
    world.catch_up()
    night = demo_night.live(databases, SLUG, "another label")
    found = demo_night.trainings(world, night)
    assert found["complexity"]["status"] == "not_due" and "0 labels since" in found["complexity"]["reason"]
    assert found["rework"]["status"] == "unchanged"
    asked = demo_night.trainings(world, demo_night.live(databases, SLUG, "asked for", models=["complexity"]))
    assert (asked["complexity"]["status"], asked["complexity"]["trigger"]) == ("trained", "asked")


def test_a_clients_own_setting_is_news(world: Installation, databases: Databases, first: Night):
    with psycopg.connect(world.primary) as primary:
        primary.execute(
            """update ml.clients set overrides = '{"complexity": {"settings": {"window_months": 12}}}'
            where client_id = 1"""
        )
    night = demo_night.live(databases, SLUG, "another window")
    rows = demo_night.trainings(world, night)
    assert rows["complexity"]["status"] == "trained" and "older than 12 months" in rows["complexity"]["rows_removed"]
    assert rows["rework"]["status"] == "unchanged"


def test_a_training_that_was_cut_off_is_done_again(world: Installation, databases: Databases, first: Night):
    night = demo_night.live(databases, SLUG, "cut off", models=["rework"], force_retrain=True)
    with psycopg.connect(world.primary) as primary:
        primary.execute(
            "update ml.training_runs set status = 'running', pgml_model_id = null where run_id ="
            " (select run_id from ml.nightly_runs where dag_run_id = 'cut off')"
        )
    nightly.train(databases, SLUG, night.dag_run_id)
    row = demo_night.trainings(world, night)["rework"]
    assert row["status"] == "trained" and row["pgml_model_id"] is not None


# --- The ladder


def run_of(world: Installation, databases: Databases, dag_run_id: str) -> Run:
    """A prepared run of client 1 whose training has not begun."""
    nightly.prepare(databases, SLUG, dag_run_id, {"force_retrain": True})
    return runs.find(databases, SLUG, dag_run_id)


def test_the_linear_rung_follows_when_the_first_fails(world: Installation, databases: Databases, first: Night):
    run = run_of(world, databases, "impossible")
    spec = replace(model_specs.read("rework"), hyperparams={"num_leaves": "many"})
    [outcome] = training.train(databases, run, [spec], {})
    assert (outcome.status, outcome.rung) == ("trained", "linear")
    ladder = demo_night.trainings(world, Night(SLUG, "impossible"))["rework"]["ladder"]
    assert [attempt["rung"] for attempt in ladder] == ["boosted", "linear"]
    assert "num_leaves" in ladder[0]["error"] and "error" not in ladder[1]


def test_a_model_that_fails_is_a_row_and_the_others_go_on(world, databases, first, monkeypatch):
    run_of(world, databases, "one fails")
    broken = replace(model_specs.read("complexity"), algorithm="no_such_algorithm")
    monkeypatch.setattr(training, "ladder", lambda spec: [("boosted", spec.algorithm, spec.hyperparams)])
    monkeypatch.setattr(
        model_specs, "read", lambda model, real=model_specs.read: broken if model == "complexity" else real(model)
    )
    with pytest.raises(
        ModelsFailed, match=rf"client '{SLUG}': complexity: no rung could be trained: boosted: .*no_such"
    ):
        nightly.train(databases, SLUG, "one fails")
    rows = demo_night.trainings(world, Night(SLUG, "one fails"))
    assert {model: row["status"] for model, row in rows.items()} == {
        "complexity": "failed",
        "rework": "trained",
        "trajectory": "trained",
    }
    # What served goes on.
    decided = nightly.gate(databases, SLUG, "one fails")
    assert decided["complexity"]["decision"] is None and decided["complexity"]["served_by"]


def test_a_fit_that_takes_too_long_is_ended_on_the_server(world: Installation, databases: Databases, first: Night):
    night = demo_night.live(databases, SLUG, "to be long", models=["complexity"], force_retrain=True)
    row = demo_night.trainings(world, night)["complexity"]
    with databases.session(REPLICA) as replica, pytest.raises(FitTimedOut, match="took longer than its limit of 0.3 s"):
        pgml.train(
            databases,
            REPLICA,
            CLIENT,
            project=row["model_name"],
            task="regression",
            relation=f"{names.client_schema(CLIENT)}.{names.ordered_view(row['training_table'])}",
            algorithm="xgboost",
            hyperparams={"n_estimators": 100_000, "max_depth": 8},
            test_rows=row["rows_test"],
            limit=0.3,
            session=replica,
            label=learned(row),
        )
    assert replica_rows(
        world,
        "select count(*) from pg_stat_activity where query like '%%pgml.train%%' and state = 'active'"
        " and pid <> pg_backend_pid()",
    ) == [(0,)]


@pytest.mark.parametrize("warm", [False, True])
def test_a_backend_that_does_not_listen_is_ended(world: Installation, warm: bool):
    """A fit inside a library without a callback hears no cancel: its backend is terminated from another session, also
    where sessions are kept warm."""
    with nights.warm(world) if warm else contextlib.nullcontext(world.databases) as databases:
        with databases.session(REPLICA) as replica:
            with pytest.raises(psycopg.OperationalError), pgml.Watch(databases, REPLICA, replica, 0.2) as watch:
                replica.connection.execute("select pg_sleep(20)")
            assert watch.ended and replica.connection.closed
        with databases.session(REPLICA) as replica:
            assert replica.connection.execute("select 1").fetchone() == (1,)


# --- Whose rows


FOREIGN = """
select
    i.client_id, i.id as entity_id, i.created as moment, i.created as known_at, i.story_points::float8 as label,
    1::float8 as simple, 1 as known_labels, 'none' as slice, null::text as excluded, 1::float8 as x
from ml_client_1.everybody as i
where %(scoring)s::boolean is false and %(as_of)s::timestamp is not null
"""


def test_rows_of_another_client_are_never_trained_on(world, databases, first, tmp_path, monkeypatch):
    """With the other layers out of the way: a table with two clients' rows, and a feature SQL that asks for all."""
    with psycopg.connect(world.replica) as replica:
        replica.execute(
            "create table ml_client_1.everybody as select client_id, id, created, story_points from public.issues"
            " where story_points > 0 and created is not null;"
            " grant select on ml_client_1.everybody to foresight_client_1"
        )
    folder = shutil.copytree(model_specs.FEATURES, tmp_path / "features")
    (folder / "complexity.sql").write_text(FOREIGN)
    monkeypatch.setattr(model_specs, "FEATURES", folder)
    run = run_of(world, databases, "foreign")
    tables = "select count(*) from pg_tables where schemaname = 'ml_client_1'"
    before = replica_rows(world, tables)
    outcomes = {one.model: one for one in training.train(databases, run, run.specs, {})}
    assert outcomes["complexity"].status == "failed"
    reason = outcomes["complexity"].reason
    assert "client 1, model 'complexity'" in reason and "rows may be of one client only" in reason
    assert "obrien" not in reason and outcomes["rework"].status == "trained"
    # The tables of the two others, and nothing of this one.
    assert replica_rows(world, tables)[0][0] == before[0][0] + 2
    with databases.session(REPLICA) as replica, pytest.raises(ForeignRows), replica.as_client(CLIENT) as tx:
        features.build(tx, model_specs.chosen(("complexity",), {})[0], CLIENT, run.as_of, run.run_id)


# --- A further model


FOURTH = """
select
    i.client_id, i.id as entity_id,
    case when %(scoring)s::boolean then %(as_of)s::timestamp else i.created end as moment,
    i.created as known_at, (length(i.summary) > %(long)s::integer)::integer::float8 as label,
    %(prior)s::float8 as simple, 1 as known_labels, 'none' as slice,
    case when length(i.summary) > 0 and i.created < %(as_of)s::timestamp then null else 'unusable' end as excluded,
    ln(1 + coalesce(length(i.summary), 0)) as size, coalesce(ascii(i.summary), 0)::float8 as begins
from ml.source_issues as i
where i.client_id = %(client_id)s::integer
    and (%(entity_ids)s::bigint[] is null or i.id = any(%(entity_ids)s::bigint[]))
order by moment, entity_id
"""


def test_a_further_model_is_a_spec_and_a_statement(world, databases, first, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(model_specs.FEATURES, tmp_path / "features"))
    rework = (folder / "rework.toml").read_text()
    spec = rework.replace("pr_rework_classifier", "long_summaries").replace('"pull_request"', '"issue"')
    start, end = spec.index("[settings]"), spec.index("[bounds]")
    (folder / "wordiness.toml").write_text(spec[:start] + "[settings]\nlong = 40\n\n" + spec[end:])
    (folder / "wordiness.sql").write_text(FOURTH)
    monkeypatch.setattr(model_specs, "FEATURES", folder)
    night = demo_night.live(databases, SLUG, "a fourth", models=["wordiness"])
    assert not night.errors
    assert demo_night.trainings(world, night)["wordiness"]["status"] == "trained"
    assert night.found["gate"]["wordiness"]["decision"] == "promote"
    assert night.found["enrich"]["written"]["wordiness"] > 1000
    assert world.rows(
        world.primary,
        "select rung, count(*) > 1000 from ml.issue_predictions where model = 'wordiness' group by rung",
    ) == [(demo_night.trainings(world, night)["wordiness"]["rung"], True)]


def test_tiny_clients_are_told_what_they_lack(world: Installation, databases: Databases):
    night = demo_night.live(databases, demo_night.SLUGS[3], "tiny")
    rows = demo_night.trainings(world, night)
    assert {row["status"] for row in rows.values()} == {"too_little_data"}
    assert "rows to learn from" in rows["complexity"]["reason"] and "are needed" in rows["complexity"]["reason"]
    assert {found["served_by"] for found in night.found["gate"].values()} == {"recent"}


def test_requests_name_models_that_there_are(databases: Databases):
    with pytest.raises(Exception, match="there is no model 'nonsense': there are complexity, rework, trajectory"):
        Request.of({"models": ["nonsense"]})
    assert set(CONTRACT) & {"label", "moment"}


# --- What is left alone, and what is lost


def platform(world: Installation) -> dict[str, tuple]:
    """Of every table of the platform: the version of its definition, its rows, and what they with their versions come
    to."""
    tables = world.rows(
        world.primary,
        "select oid::regclass::text, xmin::text from pg_class"
        " where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1",
    )
    return {
        name: (
            version,
            *world.rows(
                world.primary, f"select count(*), sum(hashtextextended(t.xmin || t::text, 0)) from {name} as t"
            ),
        )
        for name, version in tables
    }


def test_training_touches_nothing_of_the_platforms(world: Installation, databases: Databases, first: Night):
    before = platform(world)
    assert len(before) > 10 and before["issues"][1][0] > 1000
    nightly.prepare(databases, SLUG, "looked at", {"models": ["rework"], "force_retrain": True})
    assert nightly.train(databases, SLUG, "looked at")["rework"]["status"] == "trained"
    assert platform(world) == before
    # What it made is on the replica, in the client's own schema.
    assert world.rows(world.primary, "select count(*) from pg_namespace where nspname like 'ml_client_%%'") == [(0,)]


def test_a_champion_whose_model_is_lost_is_trained_again(world: Installation, databases: Databases, first: Night):
    demo_night.live(databases, SLUG, "before the loss")
    lost, *_ = world.dicts(
        world.primary,
        "select model, pgml_model_id from ml.champions where client_id = 1 and pgml_model_id is not null"
        " order by model",
    )
    with psycopg.connect(world.replica) as replica:
        assert replica.execute("delete from pgml.models where id = %s", [lost["pgml_model_id"]]).rowcount == 1
    night = demo_night.live(databases, SLUG, "after the loss")
    assert night.found["prepare"]["reason"] == "a champion's model is missing on the replica"
    found = {model: row["status"] for model, row in demo_night.trainings(world, night).items()}
    # The others have lost nothing and have seen these rows.
    assert found == dict.fromkeys(MODELS, "unchanged") | {lost["model"]: "trained"}


def test_a_fit_that_hangs_costs_its_backend_and_no_other_model(world: Installation, first: Night, monkeypatch):
    """It hears no cancel and its backend is ended: the next rung, and the next model, get another session."""
    databases = world.databases
    run = run_of(world, databases, "hung")
    train = pgml.train

    def watched(*args, limit: float, algorithm: str, **values):
        # The statement's own limit is far; the watch over it comes soon, for the one that hangs.
        monkeypatch.setattr(pgml, "GRACE", 1.5 - limit if algorithm == "xgboost" else 10.0)
        return train(*args, limit=limit, algorithm=algorithm, **values)

    monkeypatch.setattr(pgml, "train", watched)
    endless = replace(model_specs.read("complexity"), hyperparams={"n_estimators": 1_000_000}, residual={})
    outcomes = training.train(databases, run, [endless, model_specs.read("rework")], {})
    assert [(one.model, one.status) for one in outcomes] == [("complexity", "trained"), ("rework", "trained")]
    row = demo_night.trainings(world, Night(SLUG, "hung"))["complexity"]
    assert row["rung"] == "linear" and [attempt["rung"] for attempt in row["ladder"]] == ["boosted", "linear"]
    assert "took longer than its limit of 600 s and was ended" in row["ladder"][0]["error"]
    assert replica_rows(
        world,
        "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()"
        " and query like '%%pgml.train(%%'",
    ) == [(0,)]
