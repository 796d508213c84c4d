"""The gate on real models: who is judged on what, what serves afterwards, and what a kill leaves."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from psycopg import errors

from include.foresight import champions, clients, gates, model_specs, pgml, preparation, promotion
from include.foresight.champions import Champion
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.errors import ClientBusy, ReplayRefused, UnknownClient, UnknownModel
from include.foresight.promotion import ChampionMoved
from include.foresight.runs import Request, Run
from launcher.processes import wait_until
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import AS_OF, LEARNED, ROWS, Bench, Model, ago


@pytest.fixture(scope="module")
def bench(built: Bench) -> Bench:
    return built


def judge(bench: Bench, run: Run) -> promotion.Decision:
    [decision] = promotion.gate(bench.databases, run, [bench.spec])
    return decision


def verdict(bench: Bench, run: Run) -> tuple:
    """(decision, passed, rows judged, scores, judged version, sentence, looked, level)"""
    [row] = bench.rows(
        "decision, passed, rows_judged, scores, judged_version, sentence, looked, level",
        "gate_verdicts",
        "and run_id = %(run_id)s",
        run_id=run.run_id,
    )
    return row


def said(bench: Bench, model: Model, rows: range, databases: Databases | None = None) -> np.ndarray:
    """What a model says of these rows of the table, one by one."""
    scale = pgml.Scale("regression", "log1p")
    with (databases or bench.databases).session(REPLICA) as replica, replica.as_client(bench.client_id) as tx:
        return np.array([pgml.answer(tx, scale, model.model_id, [1 + n % 8, n * 7919 % 101]) for n in rows])


def test_a_better_model_is_promoted(bench: Bench, models):
    before = bench.serve(models["fair"])
    run = bench.night()
    uuid = bench.trained(run, models["good"].model_id)
    decision = judge(bench, run)
    assert (decision.decision, decision.served_by) == ("promote", "linear")
    champion = bench.champion()
    assert (champion.version, champion.model_uuid, champion.pgml_model_id) == (
        before.version + 1,
        uuid,
        models["good"].model_id,
    )
    assert champion.feature_hash == bench.feature_hash and champion.model_name == bench.project
    assert bench.ledger()[-1] == (champion.version, "linear", models["fair"].model_uuid, "linear", uuid)
    assert verdict(bench, run)[:2] == ("promote", True) and verdict(bench, run)[4] == before.version
    assert bench.deployed() == models["good"].model_id
    bench.installed.catch_up()
    assert bench.champion(REPLICA) == champion
    [(verdict_id, actor)] = bench.rows(
        "verdict_id, actor", "promotion_ledger", "and version = %(version)s", version=champion.version
    )
    assert bench.rows("run_id", "gate_verdicts", "and verdict_id = %(id)s", id=verdict_id) == [(run.run_id,)]
    assert actor == f"nightly {run.run_id}"


def test_a_repeated_gate_finds_its_own_verdict(bench: Bench, models):
    bench.serve(models["fair"])
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    decision = judge(bench, run)
    ledger = bench.ledger()
    assert judge(bench, run) == decision
    assert bench.ledger() == ledger and len(bench.rows("1", "gate_verdicts", "and run_id = %(id)s", id=run.run_id)) == 1


def test_an_equal_model_does_not_replace_the_champion(bench: Bench, models):
    before = bench.serve(models["good"])
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    decision = judge(bench, run)
    assert (decision.decision, decision.served_by) == ("keep", "linear")
    assert bench.champion() == before and bench.ledger()[-1][0] == before.version
    assert "the model in service stays" in decision.sentence


def test_a_champion_that_fails_gives_way_to_the_recent_distribution(bench: Bench, models):
    before = bench.serve(models["poor"])
    run = bench.night()
    bench.trained(run, models["poor"].model_id)
    decision = judge(bench, run)
    assert (decision.decision, decision.served_by) == ("demote", "recent")
    champion = bench.champion()
    assert (champion.version, champion.rung, champion.model_uuid, champion.pgml_model_id) == (
        before.version + 1,
        "recent",
        None,
        None,
    )
    assert bench.ledger()[-1] == (champion.version, "linear", models["poor"].model_uuid, "recent", None)


def test_where_the_recent_distribution_serves_it_goes_on(bench: Bench, models):
    before = bench.serve(None)
    run = bench.night()
    bench.trained(run, models["poor"].model_id)
    decision = judge(bench, run)
    assert (decision.decision, decision.served_by) == ("keep", "recent")
    assert bench.champion() == before and verdict(bench, run)[1] is False


def test_both_are_judged_on_the_same_rows_that_neither_has_seen(bench: Bench, models):
    """The champion of a later night has learned from half of the rows that the challenger is tested on."""
    seen = LEARNED + 40
    trained = bench.trained(bench.night(state="success"), models["fair"].model_id, cut_at=bench.moment(seen))
    bench.serve(Model(trained, models["fair"].model_id))
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    judge(bench, run)
    _, _, judged, scores, _, sentence, *_ = verdict(bench, run)
    rows = range(seen + 1, ROWS + 1)
    assert judged == len(rows) == 40
    labels = np.array([1 + n % 8 for n in rows])
    for who, answers in {
        "challenger": said(bench, models["good"], rows),
        "champion": said(bench, models["fair"], rows),
        "simple": np.full(len(rows), 4.5),
    }.items():
        assert scores[who]["mae"] == pytest.approx(np.abs(labels - answers).mean(), rel=1e-5), who
    assert sentence.startswith("On the last 40 issue rows")


def test_a_champion_with_an_older_cut_does_not_widen_the_rows(bench: Bench, models):
    trained = bench.trained(bench.night(state="success"), models["fair"].model_id, cut_at=bench.moment(LEARNED - 40))
    bench.serve(Model(trained, models["fair"].model_id))
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    judge(bench, run)
    assert verdict(bench, run)[2] == ROWS - LEARNED


@pytest.mark.parametrize(
    "changed",
    [{"feature_hash": "of other features"}, {"pgml_model_id": 999_999_999}, {"replica_conn_id": "another_replica"}],
    ids=["other features", "missing model", "another replica"],
)
def test_a_champion_that_cannot_answer_is_not_asked(bench: Bench, models, changed):
    bench.serve(models["good"], **changed)
    run = bench.night()
    bench.trained(run, models["fair"].model_id)
    decision = judge(bench, run)
    assert "champion" not in verdict(bench, run)[3]
    # It would have won: it is replaced because it cannot answer.
    assert decision.decision == "promote" and bench.champion().pgml_model_id == models["fair"].model_id


def test_a_dry_run_judges_and_changes_nothing(bench: Bench, models):
    before = bench.serve(models["fair"])
    run = bench.night(dry_run=True)
    bench.trained(run, models["good"].model_id)
    decision = judge(bench, run)
    assert (decision.decision, decision.served_by) == ("promote", "linear")
    assert bench.champion() == before and bench.ledger()[-1][0] == before.version
    assert verdict(bench, run)[5].endswith("(Only looked at: nothing was changed.)")


def test_a_run_of_the_past_judges_and_changes_nothing(bench: Bench, models):
    before = bench.serve(models["fair"])
    run = bench.night(ago(1), past=True)
    bench.trained(run, models["good"].model_id)
    assert judge(bench, run).decision == "promote"
    assert bench.champion() == before and bench.ledger()[-1][0] == before.version
    assert verdict(bench, run)[0] == "promote"


def test_a_run_that_a_later_one_has_overtaken_changes_nothing(bench: Bench, models):
    """As when somebody clears the run of last week."""
    before = bench.serve(models["fair"])
    run = bench.night(ago(1))
    bench.trained(run, models["good"].model_id)
    bench.night(AS_OF, state="success")
    assert judge(bench, run).decision == "promote"
    assert bench.champion() == before and verdict(bench, run)[6] is False


@pytest.mark.parametrize(
    "request_", [{"dry_run": True}, {"past": True}, {}], ids=["dry run", "run of the past", "clock that has gone back"]
)
def test_a_run_of_a_far_moment_freezes_nothing(bench: Bench, models, request_):
    """Neither one that looked only, nor one of a moment that turned out to be a typing error, keeps later runs from
    promoting."""
    bench.serve(models["fair"])
    far = bench.night(AS_OF + datetime.timedelta(days=200), **request_)
    bench.trained(far, models["fair"].model_id)
    judge(bench, far)
    reported(bench, far)
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    assert judge(bench, run).decision == "promote"
    assert bench.champion().pgml_model_id == models["good"].model_id


def reported(bench: Bench, run: Run) -> None:
    """As if the run had come through."""
    with psycopg.connect(bench.installed.primary) as connection:
        connection.execute("update ml.nightly_runs set state = 'success' where run_id = %s", [run.run_id])


def test_the_first_night_lets_the_recent_distribution_serve(installed: Installation, databases, client_ids):
    new = nights.bench(installed, databases, next(client_ids))
    looked = new.night(dry_run=True)
    new.trained(looked, None, training_table=None, status="too_little_data", reason="3 rows to learn from")
    assert judge(new, looked).served_by is None and new.champion() is None
    run = new.night()
    new.trained(run, None, training_table=None, status="too_little_data", reason="3 rows to learn from")
    decision = judge(new, run)
    assert (decision.decision, decision.served_by, decision.sentence) == (None, "recent", "3 rows to learn from")
    assert new.champion() == Champion("complexity", 1, "recent", None, new.project, REPLICA, None, None)
    assert new.ledger() == [(1, None, None, "recent", None)]
    again = new.night()
    new.trained(again, None, training_table=None, status="too_little_data", reason="4 rows to learn from")
    assert judge(new, again).served_by == "recent"
    assert new.ledger() == [(1, None, None, "recent", None)]


def test_a_night_with_the_same_rows_is_no_further_look(bench: Bench, models):
    before = bench.serve(models["fair"])
    first, second, third = (bench.night() for _ in range(3))
    bench.trained(first, models["fair"].model_id)
    assert judge(bench, first).decision == "keep"
    assert verdict(bench, first)[6:] == (True, pytest.approx(gates.LUCK / len(model_specs.names())))
    # However good a model: it is compared when rows have come that no look has seen.
    bench.trained(second, models["good"].model_id)
    decision = judge(bench, second)
    assert (decision.decision, bench.champion()) == ("keep", before)
    assert "cannot be compared yet: 0 of these rows are new since the last comparison with what serves, and 8 are" in (
        decision.sentence
    )
    assert verdict(bench, second)[6:] == (False, 0)
    looked_at(bench, first, bench.moment(ROWS - 20))
    bench.trained(third, models["good"].model_id)
    assert judge(bench, third).decision == "promote"
    assert verdict(bench, third)[6:] == (True, pytest.approx(gates.LUCK / len(model_specs.names()) * 20 / 80))


def looked_at(bench: Bench, run: Run, as_of) -> None:
    """As if this run had been of another moment."""
    with psycopg.connect(bench.installed.primary) as connection:
        connection.execute("update ml.nightly_runs set as_of = %s where run_id = %s", [as_of, run.run_id])


def test_what_changes_nothing_is_no_look(bench: Bench, models):
    bench.serve(models["fair"])
    dry = bench.night(dry_run=True)
    bench.trained(dry, models["fair"].model_id)
    judge(bench, dry)
    assert verdict(bench, dry)[6] is False
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    assert judge(bench, run).decision == "promote"


def test_a_replay_of_the_past_promotes_nothing_on_servers_that_stay(bench: Bench, models):
    before = bench.serve(models["fair"])
    run = replace(bench.night(), request=Request(as_of=AS_OF, trigger="replay"))
    bench.trained(run, models["good"].model_id)
    with pytest.raises(ReplayRefused, match="cluster_name"):
        judge(bench, run)
    assert bench.champion().version == before.version


def rollback(bench: Bench, **options) -> promotion.Restored:
    return promotion.rollback(
        bench.databases, bench.slug, bench.spec.model, actor="a person", reason="epics are late", **options
    )


def test_a_rollback_goes_back_and_open_sessions_see_it_at_once(bench: Bench, models):
    bench.serve(models["fair"])
    run = bench.night()
    uuid = bench.trained(run, models["good"].model_id)
    judge(bench, run)
    promoted = bench.champion()
    assert promoted.model_uuid == uuid and bench.deployed() == models["good"].model_id
    with bench.databases.primary() as primary, bench.installed.databases.session(REPLICA) as replica:
        for session in (primary, replica):
            bench.installed.catch_up()
            with session.as_client(bench.client_id) as tx:
                assert champions.read(tx, bench.client_id)[bench.spec.model] == promoted
        looked = rollback(bench, dry_run=True)
        assert (looked.restores, looked.model_uuid) == (promoted.version - 1, models["fair"].model_uuid)
        assert "would serve again" in looked.sentence and bench.champion() == promoted

        restored = rollback(bench)
        bench.installed.catch_up()
        for session in (primary, replica):
            with session.as_client(bench.client_id) as tx:
                serving = champions.read(tx, bench.client_id)[bench.spec.model]
            assert (serving.version, serving.model_uuid, serving.pgml_model_id) == (
                promoted.version + 1,
                models["fair"].model_uuid,
                models["fair"].model_id,
            )
    assert (restored.version, restored.restores) == (promoted.version + 1, promoted.version - 1)
    assert bench.deployed() == models["fair"].model_id
    assert bench.ledger()[-1] == (restored.version, "linear", uuid, "linear", models["fair"].model_uuid)
    [row] = bench.rows(
        "actor, reason, restores, verdict_id", "promotion_ledger", "and version = %(v)s", v=restored.version
    )
    assert row == ("a person", "epics are late", promoted.version - 1, None)
    agree(bench)


def test_what_was_rolled_back_does_not_return_by_the_same_rows(bench: Bench, models):
    bench.serve(models["fair"])
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    assert judge(bench, run).decision == "promote"
    rollback(bench)
    before = bench.champion()
    again = bench.night()
    bench.trained(again, models["good"].model_id)
    decision = judge(bench, again)
    assert (decision.decision, bench.champion()) == ("keep", before)
    assert "0 later rows, 20 are needed" in decision.sentence and verdict(bench, again)[6] is False
    # Only what came since speaks for it: 30 rows, had the person decided so long ago.
    with psycopg.connect(bench.installed.primary) as connection:
        connection.execute("set session_replication_role = replica")  # past the ledger's trigger
        connection.execute(
            "update ml.promotion_ledger set as_of = %s where client_id = %s and version = %s",
            [bench.moment(ROWS - 30), bench.client_id, before.version],
        )
    looked_at(bench, run, bench.moment(ROWS - 30))
    later = bench.night()
    bench.trained(later, models["good"].model_id)
    assert judge(bench, later).decision == "promote"
    assert verdict(bench, later)[2] == 30


def test_rollbacks_go_further_back_each_time(bench: Bench, models):
    bench.serve(None)
    for name in ("poor", "fair", "good"):
        bench.serve(models[name])
    top = bench.champion().version
    for steps, name in enumerate(("fair", "poor"), 1):
        restored = rollback(bench)
        assert (restored.restores, bench.champion().model_uuid) == (top - steps, models[name].model_uuid)
    restored = rollback(bench)
    assert (restored.rung, bench.champion().pgml_model_id) == ("recent", None)
    assert f"{bench.spec.simple_name} of version" in restored.sentence
    assert rollback(bench, to_version=top).model_uuid == models["good"].model_uuid
    with pytest.raises(promotion.NothingToRestore, match=f"version {top} is what serves, as version"):
        rollback(bench, to_version=top)
    with pytest.raises(promotion.NothingToRestore, match="there is no version 99999 before"):
        rollback(bench, to_version=99999)
    agree(bench)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pgml_model_id": 999_999_999}, "is gone from its replica 'foresight_replica' (it was 999999999 there)"),
        ({"feature_hash": "of old features"}, "was trained on other features than today's"),
        ({"replica_conn_id": "another"}, "is on the replica 'another', and the client is on 'foresight_replica'"),
    ],
    ids=["gone", "other features", "another replica"],
)
def test_a_rollback_to_a_model_that_cannot_answer_is_refused_by_name(bench: Bench, models, changed, said):
    gone = bench.trained(bench.night(state="success"), models["fair"].model_id, **changed)
    bench.serve(Model(gone, models["fair"].model_id))
    before = bench.serve(models["good"])
    bench.trained(bench.night(state="success"), models["good"].model_id)
    with pytest.raises(promotion.NothingToRestore) as refused:
        rollback(bench)
    assert str(gone) in str(refused.value) and said in str(refused.value)
    assert bench.champion() == before and bench.ledger()[-1][0] == before.version


def test_a_rollback_needs_something_to_go_back_to(installed: Installation, databases, client_ids):
    new = nights.bench(installed, databases, next(client_ids))
    with pytest.raises(promotion.NothingToRestore, match=f"client '{new.slug}': nothing serves 'complexity' yet"):
        rollback(new)
    new.serve(None)
    with pytest.raises(promotion.NothingToRestore, match="nothing else has served before version 1"):
        rollback(new)
    # What an empty form comes to.
    for slug, model, error in (("", "complexity", UnknownClient), (new.slug, "", UnknownModel)):
        with pytest.raises(error):
            promotion.rollback(databases, slug, model, actor="a person", reason="a slip")


def test_a_rollback_while_the_gate_judges_stands(bench: Bench, models):
    bench.serve(models["poor"])
    bench.serve(models["fair"])
    run = bench.night()
    bench.trained(run, models["good"].model_id)

    def connect() -> psycopg.Connection:
        connection = nights.Counted.connect(bench.installed.app(REPLICA))

        def after() -> None:
            if next(exchange) == 3:
                rollback(bench)

        connection.after = after
        return connection

    exchange = itertools.count(1)
    judging = Databases(lambda conn_id: connect() if conn_id == REPLICA else bench.databases.connect(conn_id))
    with pytest.raises(ChampionMoved):
        promotion.gate(judging, run, [bench.spec])
    assert bench.champion().model_uuid == models["poor"].model_uuid


def test_champions_are_kept_to_go_back_to(bench: Bench, models):
    for name in ("poor", "fair", "good", "fair"):
        bench.serve(models[name])
    with bench.databases.primary() as primary:
        with primary.as_fleet() as fleet:
            client = clients.read(fleet, bench.slug)
        with primary.as_client(bench.client_id) as tx:
            kept = promotion.restorable(tx, client)
    assert {model.model_id for model in models.values()} >= set(kept) and len(kept) == promotion.RESTORABLE


def interrupted(bench: Bench, by: Model | None) -> Databases:
    """Databases in whose first session on the replica something else has begun to serve by the time it is used."""

    def connect() -> psycopg.Connection:
        connection = nights.Counted.connect(bench.installed.app(REPLICA))

        def after() -> None:
            # Opening a session takes two exchanges; what serves has been read when there is a third.
            if next(exchange) == 3:
                bench.serve(by)

        connection.after = after
        return connection

    exchange = itertools.count(1)
    return Databases(lambda conn_id: connect() if conn_id == REPLICA else bench.databases.connect(conn_id))


def test_a_champion_that_moved_meanwhile_is_not_overwritten(bench: Bench, models):
    judged = bench.serve(models["fair"])
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    with pytest.raises(ChampionMoved, match=f"version {judged.version} was judged and serves no more"):
        promotion.gate(interrupted(bench, models["poor"]), run, [bench.spec])
    champion = bench.champion()
    assert (champion.version, champion.model_uuid) == (judged.version + 1, models["poor"].model_uuid)
    assert bench.ledger()[-1][4] == models["poor"].model_uuid
    assert bench.rows("1", "gate_verdicts", "and run_id = %(run_id)s", run_id=run.run_id) == []
    # Judged again, it is compared with what serves now.
    judge(bench, run)
    assert verdict(bench, run)[4] == champion.version


def test_a_first_champion_that_came_meanwhile_is_not_overwritten(installed: Installation, databases, client_ids):
    new = nights.bench(installed, databases, next(client_ids))
    new.build()
    first = new.fit("good", new.night(state="success"))
    run = new.night()
    new.trained(run, first.model_id)
    with pytest.raises(ChampionMoved, match="version 0 was judged"):
        promotion.gate(interrupted(new, None), run, [new.spec])
    assert new.champion().rung == "recent" and new.ledger() == [(1, None, None, "recent", None)]
    assert new.rows("1", "gate_verdicts") == []


def test_two_gates_of_a_client_do_not_overlap(bench: Bench):
    run = bench.night()
    with bench.databases.locked(bench.client_id), pytest.raises(ClientBusy, match=f"client {bench.client_id}"):
        promotion.gate(bench.databases, run, [bench.spec])


def prepare(bench: Bench, run: Run) -> None:
    """As soon as the server has noticed that the killed process is gone."""
    [(dag_run_id,)] = bench.rows("dag_run_id", "nightly_runs", "and run_id = %(run_id)s", run_id=run.run_id)
    done = []

    def is_free() -> bool:
        with contextlib.suppress(ClientBusy):
            done.append(preparation.prepare(bench.databases, bench.slug, dag_run_id, Request()))
        return bool(done)

    assert wait_until(is_free, 60, 0.005)
    assert done[0].state == "prepared" and done[0].run.run_id == run.run_id


def test_a_gate_killed_after_any_statement_leaves_one_truth(bench: Bench, models):
    """SIGKILL after the first exchange with the primary, after the second, ... until the gate lives to its end."""
    installed = bench.installed
    promoted_by_the_killed, repaired = [], []
    answer = said(bench, models["good"], range(3, 4))
    with (
        nights.warm(installed) as elsewhere,
        bench.databases.primary() as old,
        elsewhere.session(REPLICA) as old_replica,
    ):
        for exchanges in itertools.count(1):
            bench.serve(models["fair"])
            with bench.databases.session(REPLICA) as replica:
                promotion.deploy(replica, bench.client_id, models["fair"].model_id)
            run = bench.night()
            uuid = bench.trained(run, models["good"].model_id)

            finished = nights.gate_killed(installed, run, bench.spec, exchanges)
            agree(bench)
            left = bench.champion()
            promoted_by_the_killed.append(left.model_uuid == uuid)
            marked = bench.deployed()

            prepare(bench, run)
            assert bench.deployed() == left.pgml_model_id
            repaired.append(marked != left.pgml_model_id)

            promotion.gate(bench.databases, run, [bench.spec])
            agree(bench)
            champion = bench.champion()
            assert (champion.model_uuid, champion.pgml_model_id) == (uuid, models["good"].model_id)
            assert len(bench.rows("1", "gate_verdicts", "and run_id = %(run_id)s", run_id=run.run_id)) == 1
            assert bench.deployed() == champion.pgml_model_id
            installed.catch_up()
            for session in (old, old_replica):
                with session.as_client(bench.client_id) as tx:
                    assert champions.read(tx, bench.client_id)[bench.spec.model] == champion
            assert bench.champion(REPLICA, installed.databases) == bench.champion(PRIMARY) == champion
            for sessions in (bench.databases, elsewhere):
                assert said(bench, Model(uuid, champion.pgml_model_id), range(3, 4), sessions) == answer
            if finished:
                break
    # Both sides of the commit were hit, and the moment between promotion and deploy.
    commit = promoted_by_the_killed.index(True)
    assert commit > 15 and all(promoted_by_the_killed[commit:]) and len(promoted_by_the_killed) == commit + 2
    assert [number for number, was in enumerate(repaired) if was] == [commit]


def agree(bench: Bench) -> None:
    """One champion, a ledger without gap or double, and the champion is what its last row says."""
    [(version, rung, uuid)] = bench.rows("version, rung, model_uuid", "champions")
    ledger = bench.ledger()
    assert [row[0] for row in ledger] == list(range(1, version + 1))
    assert ledger[-1][3:] == (rung, uuid)
    for before, after in itertools.pairwise(ledger):
        assert before[3:] == after[1:3]


@pytest.mark.parametrize(
    "change",
    [
        "update ml.promotion_ledger set reason = 'another'",
        "delete from ml.promotion_ledger",
        "truncate ml.promotion_ledger",
    ],
)
@pytest.mark.parametrize("role", ["foresight_owner", "postgres"])
def test_the_ledger_only_grows(bench: Bench, models, change, role):
    bench.serve(models["good"])
    with psycopg.connect(bench.installed.primary) as connection:
        if role != "postgres":
            connection.execute(f"set role {role}")
        with pytest.raises(errors.RaiseException, match=f"append-only: {change.split()[0]} refused"):
            connection.execute(change)


def test_a_client_changes_neither_its_ledger_nor_anothers_champion(bench: Bench, models, client_ids):
    other = nights.bench(bench.installed, bench.databases, next(client_ids))
    mine = bench.serve(models["good"])
    with bench.databases.primary() as primary:
        with pytest.raises(errors.InsufficientPrivilege), primary.as_client(bench.client_id) as tx:
            tx.connection.execute("update ml.promotion_ledger set reason = 'another'")
        with pytest.raises(ChampionMoved), primary.as_client(other.client_id) as tx:
            target = {
                "rung": "recent",
                "model_uuid": None,
                "model_name": "x",
                "replica_conn_id": REPLICA,
                "pgml_model_id": None,
                "feature_hash": None,
            }
            promotion.move(tx, bench.client_id, bench.spec.model, mine, target, None, "test", "not mine")
    assert bench.champion() == mine


def test_margins_are_the_gates(bench: Bench, models):
    """The bench's models are as far apart as these tests think."""
    rows = range(LEARNED + 1, ROWS + 1)
    labels = [1 + n % 8 for n in rows]
    errors_of = {
        name: gates.metrics(bench.spec, labels, said(bench, model, rows))["error"] for name, model in models.items()
    }
    simple = gates.metrics(bench.spec, labels, [4.5] * len(labels))["error"]
    assert errors_of["good"] < errors_of["fair"] * (1 - gates.MARGIN) < simple < errors_of["poor"]


def test_a_rollback_before_a_clock_went_back_waits_for_no_far_day(bench: Bench, models):
    """It counts from what the runs before it had seen, by moments that the clock has reached."""
    bench.serve(models["fair"])
    far = bench.night(AS_OF + datetime.timedelta(days=200))
    bench.trained(far, models["good"].model_id)
    assert judge(bench, far).decision == "promote"
    rollback(bench)
    with psycopg.connect(bench.installed.primary) as connection:
        connection.execute(
            "update ml.nightly_runs set as_of = %s where client_id = %s and run_id <> %s",
            [bench.moment(ROWS - 30), bench.client_id, far.run_id],
        )
    run = bench.night()
    bench.trained(run, models["good"].model_id)
    assert judge(bench, run).decision == "promote"
    assert verdict(bench, run)[2] == 30
