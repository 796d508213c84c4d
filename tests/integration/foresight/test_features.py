"""A run's training table and what models say of its rows: built as the client, on the client's replica."""

from __future__ import annotations

import datetime
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from psycopg import sql

from include.foresight import features, model_specs, names, pgml
from include.foresight.database import REPLICA, Databases
from include.foresight.errors import ForeignRows
from include.foresight.features import TrainingTable
from include.foresight.model_specs import ModelSpec
from include.foresight.pgml import Scale
from tests.support import nights
from tests.support.installation import Installation
from tests.support.nights import AS_OF, Desk, ago

ESTIMATED, OPEN = 120, 7
REMOVED = {"inactive": 3, "short summary": 2, "over the cap": 4, "zero points": 1, "no points": OPEN}


@dataclass(frozen=True)
class Ours:
    """A client with ESTIMATED usable stories, two a day, and as many useless ones as REMOVED says."""

    desk: Desk
    databases: Databases

    @property
    def client_id(self) -> int:
        return self.desk.client_id

    def build(self, spec: ModelSpec, **other: datetime.datetime) -> TrainingTable:
        with self.databases.session(REPLICA) as replica, replica.as_client(self.client_id) as tx:
            return features.build(tx, spec, self.client_id, other.get("as_of", AS_OF), uuid4())

    def rows(self, query: str, table: TrainingTable) -> list[tuple]:
        text = sql.SQL(query).format(table=table.identifier, view=sql.Identifier(*table.relation.split(".")))
        with self.desk.installed.on_replica() as replica:
            return replica.execute(text).fetchall()


def stories(desk: Desk, count: int, **other: object) -> list[dict]:
    return [
        desk.issue(
            **{
                "summary": f"Story {at} that says enough",
                "story_points": 1 + at % 8,
                "created": ago(1 + (count - at) / 2),
                "active": True,
            }
            | other
        )
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def ours(installed: Installation, databases: Databases, client_ids: Iterator[int]) -> Ours:
    desk = nights.desk(installed, installed.add_client(next(client_ids)))
    for useless, count in {"inactive": 3, "short summary": 2, "over the cap": 4, "zero points": 1}.items():
        what = {
            "inactive": {"active": False},
            "short summary": {"summary": "short"},
            "over the cap": {"story_points": 22},
            "zero points": {"story_points": 0},
        }[useless]
        desk.insert("issues", stories(desk, count, **what))
    desk.insert("issues", [*stories(desk, ESTIMATED), *stories(desk, OPEN, story_points=None)])
    # Another client's rows, which no table may have.
    other = nights.desk(installed, installed.add_client(next(client_ids)))
    other.insert("issues", stories(other, 20))
    installed.catch_up()
    return Ours(desk, databases)


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return model_specs.read("complexity")


@pytest.fixture(scope="module")
def built(ours: Ours, spec: ModelSpec) -> TrainingTable:
    return ours.build(spec)


# --- The table


def test_every_candidate_is_used_or_has_its_reason(ours: Ours, built: TrainingTable):
    assert built.rows_removed == REMOVED
    assert built.rows_train + built.rows_test == ESTIMATED and built.rows_censored == 0
    assert ours.rows("select count(*) from {table}", built) == [(ESTIMATED + sum(REMOVED.values()),)]


def test_the_later_rows_are_judged_on(ours: Ours, built: TrainingTable, spec: ModelSpec):
    assert built.rows_test == pytest.approx(spec.test_size * ESTIMATED, abs=1)
    [(learned, judged)] = ours.rows(
        "select max(known_at) filter (where part = 'train'), min(moment) filter (where part = 'test') from {table}",
        built,
    )
    assert learned <= built.cut_at < judged


def test_a_label_that_became_known_after_the_cut_is_not_learned_from(
    ours: Ours, spec: ModelSpec, tmp_path, monkeypatch
):
    """Or the model would have seen what was not known when the first of the judged rows was asked about."""
    later = with_statement(
        tmp_path, monkeypatch, spec, LATE.replace("%(days)s", "interval '2 days'").replace("%(who)s", "i.client_id")
    )
    table = ours.build(later)
    assert table.rows_removed == {"label known too late": 4}
    [(between, learned)] = ours.rows(
        "select count(*) filter (where part = 'between' and moment <= known_at - interval '2 days'),"
        " max(known_at) filter (where part = 'train') from {table}",
        table,
    )
    assert between == 4 and learned <= table.cut_at


def test_the_table_is_the_clients_and_of_the_client(ours: Ours, built: TrainingTable):
    assert built.schema == names.client_schema(ours.client_id)
    assert ours.rows("select distinct client_id from {table}", built) == [(ours.client_id,)]
    [(owner, view_owner)] = ours.rows(
        "select (select tableowner from pg_tables where schemaname || '.' || tablename = '{table}'),"
        " (select viewowner from pg_views where schemaname || '.' || viewname = '{view}')".replace(
            "'{table}'", sql.Literal(f"{built.schema}.{built.name}").as_string()
        ).replace("'{view}'", sql.Literal(built.relation).as_string()),
        built,
    )
    assert owner == view_owner == names.client_role(ours.client_id)


def test_the_view_has_the_training_rows_first_and_only_numbers(ours: Ours, built: TrainingTable):
    shown = ours.rows("select * from {view}", built)
    stored = ours.rows(
        "select ln(1 + label) from {table} where part in ('train', 'test') order by part = 'test', moment, entity_id",
        built,
    )
    assert [row[0] for row in shown] == [label for (label,) in stored] and len(shown) == ESTIMATED
    assert {len(row) for row in shown} == {1 + len(built.feature_names)}
    assert all(isinstance(value, float) and math.isfinite(value) for row in shown for value in row)


def test_the_view_is_made_anew_where_the_label_is_learned_otherwise(ours: Ours, built: TrainingTable):
    with ours.databases.session(REPLICA) as replica:
        with replica.as_client(ours.client_id) as tx:
            features.order(tx, built, Scale.relative_label(0.5), pgml.RELATIVE)
        try:
            shown = ours.rows(f"select {pgml.RELATIVE} from {{view}}", built)
        finally:
            with replica.as_client(ours.client_id) as tx:
                features.order(tx, built, Scale("regression", "log1p").label, pgml.LABEL)
    stored = ours.rows(
        "select 0.5 * (ln(1 + label) - ln(1 + simple)) from {table} where part in ('train', 'test')"
        " order by part = 'test', moment, entity_id",
        built,
    )
    assert [value for (value,) in shown] == pytest.approx([value for (value,) in stored])


def test_a_table_of_the_same_run_is_built_anew(ours: Ours, spec: ModelSpec):
    """What a killed try has left is in nobody's way."""
    run_id = uuid4()
    with ours.databases.session(REPLICA) as replica:
        tables = []
        for _ in range(2):
            with replica.as_client(ours.client_id) as tx:
                tables.append(features.build(tx, spec, ours.client_id, AS_OF, run_id))
    assert tables[0] == tables[1]


def test_the_fingerprint_is_that_of_the_used_rows(ours: Ours, built: TrainingTable, spec: ModelSpec):
    assert ours.build(spec).fingerprint == built.fingerprint
    with ours.databases.session(REPLICA) as replica, replica.as_client(ours.client_id) as tx:
        # The same rows, stored in another order.
        tx.connection.execute(
            sql.SQL("create table {} as select * from {} order by entity_id desc").format(
                sql.Identifier(built.schema, f"{built.name}_turned"), built.identifier
            )
        )
        turned = sql.Identifier(built.schema, f"{built.name}_turned")
        described = tx.one("features/describe", {"client_id": ours.client_id}, table=turned)
        assert str(described["fingerprint"]) == built.fingerprint
        tx.connection.execute(
            sql.SQL("update {} set summary_length = summary_length + 1 where part = 'test' and label = 8").format(
                turned
            )
        )
        described = tx.one("features/describe", {"client_id": ours.client_id}, table=turned)
        assert str(described["fingerprint"]) != built.fingerprint
        tx.connection.execute(sql.SQL("drop table {}").format(turned))


def test_a_client_without_rows_has_an_empty_table(
    installed: Installation, databases: Databases, client_ids, spec: ModelSpec
):
    alone = Ours(nights.desk(installed, installed.add_client(next(client_ids))), databases)
    installed.catch_up()
    table = alone.build(spec)
    assert (table.rows_train, table.rows_test, table.rows_removed, table.cut_at) == (0, 0, {}, None)
    assert table.feature_names == features_of(alone, spec)


def features_of(client: Ours, spec: ModelSpec) -> tuple[str, ...]:
    with client.databases.session(REPLICA) as replica, replica.as_client(client.client_id) as tx:
        return features.score(tx, spec, client.client_id, AS_OF)


def test_rows_to_predict_have_the_features_that_were_learned(ours: Ours, built: TrainingTable, spec: ModelSpec):
    assert features_of(ours, spec) == built.feature_names
    with ours.databases.session(REPLICA) as replica, replica.as_client(ours.client_id) as tx:
        features.score(tx, spec, ours.client_id, AS_OF)
        rows = tx.connection.execute("select client_id, excluded from scored").fetchall()
    # The open ones, and the one that has been given 0 points.
    assert rows == [(ours.client_id, None)] * (OPEN + 1)


def test_entities_of_others_are_not_scored(ours: Ours, spec: ModelSpec):
    with ours.desk.installed.on_replica() as replica:
        [(theirs, mine)] = replica.execute(
            "select max(id) filter (where client_id <> %(id)s), max(id) filter (where client_id = %(id)s)"
            " from public.issues",
            {"id": ours.client_id},
        ).fetchall()
    with ours.databases.session(REPLICA) as replica, replica.as_client(ours.client_id) as tx:
        features.score(tx, spec, ours.client_id, AS_OF, [theirs, mine])
        assert tx.connection.execute("select entity_id from scored").fetchall() == [(mine,)]


# --- Whose rows


# Labels that become known `days` after the moment; `who`: whose row it says it is.
LATE = """
select
    %(who)s as client_id, i.id as entity_id, i.created as moment, i.created + %(days)s as known_at,
    i.story_points as label, 3::float8 as simple, 1 as known_labels, 'none' as slice, null::text as excluded,
    i.story_points as x
from ml.source_issues as i
where
    i.client_id = %(client_id)s::integer and i.active and i.story_points between 1 and 8 and length(i.summary) > 10
    and %(scoring)s::boolean is not null and %(as_of)s::timestamp is not null
"""


def with_statement(tmp_path, monkeypatch: pytest.MonkeyPatch, spec: ModelSpec, text: str) -> ModelSpec:
    """The spec, with that statement for its features."""
    folder = shutil.copytree(model_specs.FEATURES, tmp_path / "features")
    (folder / f"{spec.model}.sql").write_text(text, encoding="utf-8")
    monkeypatch.setattr(model_specs, "FEATURES", folder)
    return replace(spec)


@pytest.mark.parametrize(
    ("who", "count"),
    [("case when i.story_points = 8 then 7 else i.client_id end", 15), ("nullif(i.client_id, i.client_id)", 120)],
    ids=["one that is another's", "of nobody"],
)
def test_rows_that_are_not_the_clients_end_the_build(
    ours: Ours, spec: ModelSpec, tmp_path, monkeypatch, who: str, count: int
):
    """The last layer: whatever has let them in, they are seen before anything is trained, and nothing stays."""
    text = LATE.replace("%(days)s", "interval '0'").replace("%(who)s", who)
    planted, run_id = with_statement(tmp_path, monkeypatch, spec, text), uuid4()
    said = (
        rf"client {ours.client_id}, model 'complexity': {count} rows of the training table are of another client; "
        "rows may be of one client only"
    )
    with ours.databases.session(REPLICA) as replica:
        with pytest.raises(ForeignRows, match=said), replica.as_client(ours.client_id) as tx:
            features.build(tx, planted, ours.client_id, AS_OF, run_id)
    with ours.desk.installed.on_replica() as replica:
        left = replica.execute(
            "select count(*) from pg_class where relname like %s", [f"complexity_{run_id.hex[:8]}%"]
        ).fetchone()
    assert left == (0,)


# --- What models say of them


@dataclass(frozen=True)
class Asked:
    """A table with known labels: `x` decides them, `simple` is 3 everywhere."""

    ours: Ours
    name: str

    def fit(self, algorithm: str, *, task: str, label: str, **hyperparams: object) -> int:
        with self.ours.databases.session(REPLICA) as replica:
            with replica.as_client(self.ours.client_id) as tx:
                view = sql.Identifier(names.client_schema(self.ours.client_id), f"{self.name}_learned")
                tx.connection.execute(sql.SQL("drop view if exists {}").format(view))
                tx.connection.execute(
                    sql.SQL("create view {} as select {} as {}, x, y from {} order by position").format(
                        view,
                        sql.SQL(label),
                        sql.Identifier(pgml.RELATIVE if "simple" in label else pgml.LABEL),
                        sql.Identifier(names.client_schema(self.ours.client_id), self.name),
                    )
                )
            return pgml.train(
                self.ours.databases,
                REPLICA,
                self.ours.client_id,
                project=names.project(f"{self.name}_{uuid4().hex[:6]}", self.ours.client_id, 1),
                task=task,
                relation=f"{names.client_schema(self.ours.client_id)}.{self.name}_learned",
                algorithm=algorithm,
                hyperparams=hyperparams,
                test_rows=40,
                limit=60,
                session=replica,
                label=pgml.RELATIVE if "simple" in label else pgml.LABEL,
            ).model_id

    def all_ways(self, scale: Scale, model_id: int) -> tuple[list[float], list[float], list[float], int]:
        """The answers to every row by `predictions`, `answer_scored` and `answer`, in the rows' order; and how many
        numbers the engine itself gave."""
        table = sql.Identifier(names.client_schema(self.ours.client_id), self.name)
        with self.ours.databases.session(REPLICA) as replica, replica.as_client(self.ours.client_id) as tx:
            tx.connection.execute(
                sql.SQL("create temporary table asked on commit drop as select * from {}").format(table)
            )
            # Stored the other way round, and with a row that cannot be scored among them.
            tx.connection.execute(
                "create temporary table scored on commit drop as"
                " select position as entity_id, simple, x, y, null::text as excluded from asked"
                " union all select 0, null, null, null, 'no summary' order by entity_id desc"
            )
            together = pgml.predictions(tx, scale, model_id, "asked", ["x", "y"])
            pgml.answer_scored(tx, scale, model_id, ["x", "y"])
            scored = tx.connection.execute("select value from answered order by entity_id").fetchall()
            rows = tx.connection.execute("select x, y, simple from asked order by position").fetchall()
            one_by_one = [pgml.answer(tx, scale, model_id, row[:2], simple=row[2]) for row in rows]
            [(given,)] = tx.connection.execute(
                "select cardinality(ml_pgml.answers(%s, (select array_agg(array[x, y]::real[]) from asked), %s))",
                [model_id, scale.probabilities],
            ).fetchall()
        return together, [value for (value,) in scored], one_by_one, given


@pytest.fixture(scope="module")
def asked(ours: Ours) -> Asked:
    with ours.databases.session(REPLICA) as replica, replica.as_client(ours.client_id) as tx:
        # One in five, not every other: a probability of the wrong class is then no mirror image.
        tx.connection.execute(
            "create table separable as select n as position, (n * 37 % 100)::float8 as x, (n * 7 % 10)::float8 as y,"
            " ((n * 37 % 100) >= 80)::integer::float8 as label, 3::float8 as simple from generate_series(1, 160) as n"
        )
    return Asked(ours, "separable")


@pytest.mark.parametrize(
    ("algorithm", "hyperparams", "each"),
    [("lightgbm", {"num_iterations": 20}, 1), ("linear", {}, 2), ("xgboost", {"n_estimators": 10}, 2)],
)
def test_a_probability_is_that_of_class_one(asked: Asked, algorithm: str, hyperparams: dict, each: int):
    """LightGBM gives one number per row, scikit-learn and XGBoost give one per class: the answer is the same thing."""
    model_id = asked.fit(algorithm, task="classification", label="label::integer", **hyperparams)
    together, scored, one_by_one, given = asked.all_ways(Scale("classification", "identity"), model_id)
    assert given == each * 160
    assert together == pytest.approx(scored) and together == pytest.approx(one_by_one, abs=1e-6)
    bad = [(n * 37 % 100) >= 80 for n in range(1, 161)]
    assert all(0 <= value <= 1 for value in together)
    assert min(value for value, one in zip(together, bad, strict=True) if one) > max(
        value for value, one in zip(together, bad, strict=True) if not one
    )
    assert sum(together) / 160 == pytest.approx(0.2, abs=0.1)


def test_a_learned_scale_is_undone(asked: Asked):
    """ln(1 + label) is learned, and people read the label."""
    model_id = asked.fit("linear", task="regression", label="ln(1 + x)")
    together, scored, one_by_one, given = asked.all_ways(Scale("regression", "log1p"), model_id)
    assert given == 160
    assert together == pytest.approx(scored) and together == pytest.approx(one_by_one, rel=1e-5)
    with asked.ours.databases.session(REPLICA) as replica, replica.as_client(asked.ours.client_id) as tx:
        raw = [
            value
            for (value,) in tx.connection.execute(
                "select (ml_pgml.answers(%s, array[x, y]::real[], false))[1] from separable order by position",
                [model_id],
            )
        ]
    assert together == pytest.approx([max(math.exp(value) - 1, 0) for value in raw], rel=1e-5)


def test_what_was_learned_relative_to_the_simple_rung_is_answered_relative_to_it(asked: Asked):
    """Half of the distance is learned: the answers lie between the simple rung's 3 and the label, on the log scale."""
    relative = "0.5 * (ln(1 + (3 + y)) - ln(1 + simple))"
    model_id = asked.fit("xgboost", task="regression", label=relative, n_estimators=60)
    together, scored, one_by_one, _ = asked.all_ways(Scale("regression", "log1p"), model_id)
    assert together == pytest.approx(scored) and together == pytest.approx(one_by_one, rel=1e-5)
    expected = [math.sqrt(4 * (4 + n * 7 % 10)) - 1 for n in range(1, 161)]
    assert together == pytest.approx(expected, rel=0.05)


def test_no_row_no_answer(asked: Asked):
    scale = Scale("classification", "identity")
    model_id = asked.fit("lightgbm", task="classification", label="label::integer", num_iterations=2)
    with asked.ours.databases.session(REPLICA) as replica, replica.as_client(asked.ours.client_id) as tx:
        tx.connection.execute("create temporary table asked on commit drop as select * from separable where false")
        tx.connection.execute(
            "create temporary table scored on commit drop as"
            " select 1 as entity_id, null::float8 as simple, null::float8 as x, null::float8 as y, 'no' as excluded"
        )
        assert pgml.predictions(tx, scale, model_id, "asked", ["x", "y"]) == []
        pgml.answer_scored(tx, scale, model_id, ["x", "y"])
        assert tx.connection.execute("select count(*) from answered").fetchone() == (0,)
