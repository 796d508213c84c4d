"""Nights of one client: what a phase finds when it begins, and sessions that end in the middle of one.

Training tables are made by hand here, so that it is known beforehand which model is good; the models themselves are
trained by pgml, and everything that serves got there by the library's own promotion.
"""

from __future__ import annotations

import datetime
import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from include.foresight import champions, clients, features, model_specs, names, pgml, promotion, runs
from include.foresight.champions import Champion
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.model_specs import ModelSpec
from include.foresight.rungs import LINEAR, RECENT
from include.foresight.runs import Request, Run
from launcher import throwaway
from tests.support.installation import Installation

AS_OF = datetime.datetime(2025, 6, 1)
FEATURES = ("signal", "noise")
TABLE = "bench"
ROWS, LEARNED = 240, 160


def ago(days: float) -> datetime.datetime:
    return AS_OF - datetime.timedelta(days=days)


class Killed(BaseException):
    """What a process that is killed does not live to see; no handler of errors catches it."""


class Counted(psycopg.Connection):
    """Calls `after` when an exchange with the server is through: a statement, a begin, a commit, a block of a copy."""

    after: Callable[[], None] = staticmethod(lambda: None)

    def wait(self, gen, *args, **kwargs):
        result = super().wait(gen, *args, **kwargs)
        self.after()
        return result


def warm(installed: Installation) -> AbstractContextManager[Databases]:
    """The installation's databases. For one thread."""
    return throwaway.warm({name: installed.app(name) for name in (PRIMARY, REPLICA)})


def with_primary(databases: Databases, connect: Callable[[], psycopg.Connection]) -> Databases:
    """These databases with other sessions on the primary."""
    return Databases(lambda conn_id: connect() if conn_id == PRIMARY else databases.connect(conn_id))


def counted(dsn: str, after: Callable[[], None]) -> psycopg.Connection:
    connection = Counted.connect(dsn)
    connection.after = after
    return connection


def dying(installed: Installation, exchanges: int) -> Callable[[], psycopg.Connection]:
    """Sessions on the primary of which, after so many exchanges, the server ends the backend, and Killed is raised."""
    left = itertools.count(exchanges - 1, -1)

    def connect() -> psycopg.Connection:
        connection = Counted.connect(installed.app(PRIMARY))

        def after() -> None:
            if next(left) == 0:
                terminate(installed.primary, connection.info.backend_pid)
                raise Killed

        connection.after = after
        return connection

    return connect


def terminate(superuser: str, pid: int) -> None:
    """End a backend and wait until it is gone. (The server's own waiting looks every 100 ms.)"""
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s)", [pid])
        deadline = time.monotonic() + 60
        while connection.execute("select from pg_stat_activity where pid = %s", [pid]).fetchone() is not None:
            assert time.monotonic() < deadline, f"backend {pid} is still there"
            time.sleep(0.002)


PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


def gate_killed(installed: Installation, run: Run, spec: ModelSpec, exchanges: int) -> bool:
    """Gate in a process of its own that gets a SIGKILL after so many exchanges with the primary; whether it came to
    its end before."""
    places = {PRIMARY: installed.app(PRIMARY), REPLICA: installed.app(REPLICA)}
    process = PROCESSES.Process(target=_gate_and_die, args=(places, run, spec, exchanges))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"the gate's process ended with {process.exitcode}"
    return process.exitcode == 0


def _gate_and_die(places: Mapping[str, str], run: Run, spec: ModelSpec, exchanges: int) -> None:
    left = itertools.count(exchanges - 1, -1)

    def after() -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    primary = Databases(lambda conn_id: psycopg.connect(places[conn_id]))
    promotion.gate(with_primary(primary, lambda: counted(places[PRIMARY], after)), run, [spec])


@dataclass(frozen=True)
class Model:
    """A model that pgml has trained on the bench's table. `model_uuid` is that of its training."""

    model_uuid: UUID
    model_id: int


class BenchSpec(ModelSpec):
    """A real model's spec, of which the rows are those of the bench."""

    @property
    def feature_sql(self) -> str:
        return f"select {', '.join((*features.CONTRACT, *FEATURES))} from {TABLE}"


@dataclass
class Bench:
    """A client with a hand-made training table: `label` is 1 to 8 and stands in the feature `signal`, the simple rung
    always says 4.5, rows are an hour apart, and the last 80 are there to be judged on."""

    installed: Installation
    databases: Databases
    client_id: int
    spec: ModelSpec = field(default_factory=lambda: BenchSpec(**vars(model_specs.read("complexity"))))
    nights: Iterator[int] = field(default_factory=itertools.count)

    @property
    def slug(self) -> str:
        return f"client_{self.client_id}"

    @property
    def schema(self) -> str:
        return names.client_schema(self.client_id)

    @property
    def project(self) -> str:
        return names.project(self.spec.project_name, self.client_id, self.spec.version)

    @property
    def feature_hash(self) -> str:
        return features.feature_hash(FEATURES)

    @staticmethod
    def moment(row: int) -> datetime.datetime:
        return ago(60) + datetime.timedelta(hours=row)

    def build(self) -> None:
        """Make the table, and its views with labels that are right, off by 0.7, and off by 10."""
        with self.databases.session(REPLICA) as replica, replica.as_client(self.client_id) as tx:
            tx.connection.execute(
                sql.SQL(
                    "create table {table} as select {client}::integer as client_id, n::bigint as entity_id,"
                    " {start}::timestamp + n * interval '1 hour' as moment,"
                    " {start}::timestamp + n * interval '1 hour' as known_at, (1 + n %% 8)::float8 as label,"
                    " 4.5::float8 as simple, n as known_labels, 'K'::text as slice, null::text as excluded,"
                    " (1 + n %% 8)::float8 as signal, (n * 7919 %% 101)::float8 as noise,"
                    " case when n <= {learned} then 'train' else 'test' end as part"
                    " from generate_series(1, {rows}) as n".replace("%%", "%")
                ).format(
                    table=sql.Identifier(self.schema, TABLE),
                    client=sql.Literal(self.client_id),
                    start=sql.Literal(ago(60)),
                    learned=sql.Literal(LEARNED),
                    rows=sql.Literal(ROWS),
                )
            )
            for name, off in {"good": 0, "fair": 0.7, "poor": 10}.items():
                tx.connection.execute(
                    sql.SQL(
                        "create view {view} as select ln(1 + label + {off}) as label, signal, noise from {table}"
                        " order by moment"
                    ).format(
                        view=sql.Identifier(self.schema, f"{TABLE}_{name}"),
                        table=sql.Identifier(self.schema, TABLE),
                        off=sql.Literal(off),
                    )
                )

    def fit(self, name: str, run: Run, **training: Any) -> Model:
        """A model of that quality (good, fair, poor), with its row among the trainings of the run."""
        with self.databases.session(REPLICA) as replica:
            trained = pgml.train(
                self.databases,
                REPLICA,
                self.client_id,
                project=self.project,
                task="regression",
                relation=f"{self.schema}.{TABLE}_{name}",
                algorithm="linear",
                hyperparams={},
                test_rows=ROWS - LEARNED,
                limit=60,
                session=replica,
            )
        return Model(self.trained(run, trained.model_id, **training), trained.model_id)

    def trained(self, run: Run, model_id: int | None, **other: Any) -> UUID:
        """A row of ml.training_runs, as a training leaves it."""
        row = {
            "model_uuid": uuid4(),
            "run_id": run.run_id,
            "client_id": self.client_id,
            "model": self.spec.model,
            "model_name": self.project,
            "spec_digest": self.spec.digest,
            "status": "trained",
            "rung": LINEAR if model_id is not None else None,
            "replica_conn_id": REPLICA,
            "pgml_model_id": model_id,
            "training_table": TABLE,
            "feature_names": list(FEATURES),
            "feature_hash": self.feature_hash,
            "cut_at": self.moment(LEARNED),
            "code_version": "test",
        } | other
        insert(self.installed.primary, "training_runs", row)
        return row["model_uuid"]

    def night(
        self, as_of: datetime.datetime = AS_OF, *, state: str = "prepared", past: bool = False, **request: Any
    ) -> Run:
        """A run that has come so far. `past`: its moment was asked for."""
        if past:
            request["as_of"] = as_of
        with self.databases.primary() as primary:
            with primary.as_fleet() as fleet:
                client = clients.read(fleet, self.slug)
            return runs.open_run(
                primary,
                client,
                f"night {next(self.nights)}",
                Request.of(request),
                as_of=as_of,
                fingerprint="",
                state=state,
            )

    def serve(self, model: Model | None, **other: Any) -> Champion:
        """Let this model serve, or without one the recent distribution, as if no look had seen a row yet; the
        champion."""
        with psycopg.connect(self.installed.primary) as connection:
            connection.execute("update ml.gate_verdicts set looked = false where client_id = %s", [self.client_id])
        target = {
            "rung": LINEAR if model else RECENT,
            "model_uuid": model.model_uuid if model else None,
            "model_name": self.project,
            "replica_conn_id": REPLICA,
            "pgml_model_id": model.model_id if model else None,
            "feature_hash": self.feature_hash if model else None,
        } | other
        with self.databases.primary() as primary, primary.as_client(self.client_id) as tx:
            current = champions.read(tx, self.client_id).get(self.spec.model)
            promotion.move(tx, self.client_id, self.spec.model, current, target, None, "test", "put there by hand")
            return champions.read(tx, self.client_id)[self.spec.model]

    def champion(self, conn_id: str = PRIMARY, databases: Databases | None = None) -> Champion | None:
        with (databases or self.databases).session(conn_id) as session, session.as_client(self.client_id) as tx:
            return champions.read(tx, self.client_id).get(self.spec.model)

    def deployed(self) -> int | None:
        with self.databases.session(REPLICA) as replica, replica.as_client(self.client_id) as tx:
            return pgml.deployed(tx, self.project)

    def rows(self, columns: str, table: str, rest: str = "", **values: Any) -> list[tuple]:
        """Rows of the client in schema ml of the primary."""
        query = f"select {columns} from ml.{table} where client_id = %(client_id)s {rest}"
        return self.installed.rows(self.installed.primary, query, {"client_id": self.client_id} | values)

    def ledger(self) -> list[tuple]:
        """(version, from rung, from model, to rung, to model) of the bench's model, in order."""
        return self.rows(
            "version, from_rung, from_model_uuid, to_rung, to_model_uuid",
            "promotion_ledger",
            "and model = %(model)s order by version",
            model=self.spec.model,
        )


def bench(installed: Installation, databases: Databases, client_id: int, **registry: Any) -> Bench:
    """A new client, seen on the replica, without a training table yet."""
    installed.add_client(client_id, **registry)
    installed.catch_up()
    return Bench(installed, databases, client_id)


def insert(superuser: str, table: str, row: Mapping[str, Any]) -> None:
    """A row of schema ml, past every policy."""
    query = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier("ml", table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    with psycopg.connect(superuser) as connection:
        connection.execute(query, row)


@dataclass
class Desk:
    """A client of the platform's with a project, types, statuses and a repository to put rows into."""

    installed: Installation
    client_id: int
    project: int
    repository: int
    types: dict[str, int]
    statuses: dict[str, int]

    def issue(self, **other: Any) -> dict[str, Any]:
        """An open story without points, unless told otherwise; `type` and `status` by name."""
        kind, status = other.pop("type", "Story"), other.pop("status", "To Do")
        return {
            "key": f"K-{uuid4().hex[:8]}",
            "external_id": uuid4().hex[:8],
            "project_id": self.project,
            "issuetype_id": self.types[kind],
            "status_id": self.statuses[status],
            "summary": "A summary that says enough",
            "story_points": None,
            "created": ago(5),
            "work_last_completed_at": None,
            "client_id": self.client_id,
        } | other

    def pull_request(self, **other: Any) -> dict[str, Any]:
        """An open one, unless told otherwise."""
        return {
            "name": "A title",
            "user_name": "somebody",
            "repository_id": self.repository,
            "status": "open",
            "pr_created_at": ago(2),
            "merged_at": None,
            "closed_at": None,
            "commit_count": 2,
            "additions": 30,
            "deletions": 3,
            "changed_files": 2,
            "review_cycles": None,
            "rework_commit_count": None,
            "client_id": self.client_id,
        } | other

    def insert(self, table: str, rows: list[dict[str, Any]]) -> list[int]:
        return self.installed.insert(table, rows)


def desk(installed: Installation, client_id: int) -> Desk:
    mine = {"client_id": client_id}
    [project] = installed.insert("projects", {"key": "K", "name": "K", **mine})
    [repository] = installed.insert("repositories", {"name": "r", "full_name": "k/r", **mine})
    kinds, steps = ("Story", "Task", "Bug", "Epic"), ("To Do", "Done")
    types = installed.insert(
        "issuetypes", [{"original_name": kind, "hierarchy_level": int(kind == "Epic"), **mine} for kind in kinds]
    )
    mappings = installed.insert(
        "status_mappings", [{"status_from": step, "status_to": step, "status_category": step, **mine} for step in steps]
    )
    statuses = installed.insert(
        "statuses",
        [
            {"original_name": step, "status_mapping_id": mapping, "category": step, **mine}
            for step, mapping in zip(steps, mappings, strict=True)
        ],
    )
    return Desk(
        installed,
        client_id,
        project,
        repository,
        dict(zip(kinds, types, strict=True)),
        dict(zip(steps, statuses, strict=True)),
    )
