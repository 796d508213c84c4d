"""The platform's side of an instance: its tables and data, its clients in our registry, its ETL at work."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from text_unidecode import unidecode

import demo
from demo import exports
from include.foresight import deployment, registry
from include.foresight.database import PRIMARY, REPLICA, Databases
from include.foresight.sql import statement
from launcher import clusters
from launcher.airflow import ADMIN
from launcher.errors import LauncherError
from launcher.instance import Instance
from launcher.progress import Progress
from launcher.system import CHECKOUT

PLATFORM = "platform"  # its database and its role
SLUG_LENGTH = 63  # of ml.clients.slug
LIBPQ = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}


def read_exports(folder: Path, say: Callable[[str], None]) -> list[exports.Client]:
    """The clients in a folder of exports, all of it checked."""
    try:
        return demo.read_exports(folder, say=say)
    except demo.ExportError as error:
        raise LauncherError(str(error)) from None


def provide(
    instance: Instance, as_platform_dsn: str, progress: Progress, clients: list[exports.Client] | None = None
) -> None:
    """Fill the platform's database once: its tables, and in them the generated data or these clients of exports."""
    if "platform_data" in instance.done:
        return
    with psycopg.connect(as_platform_dsn) as connection:
        there = connection.execute("select to_regclass('public.clients') is not null").fetchone()[0]
    if not there:
        demo.create_platform(as_platform_dsn)
    try:
        if instance.data is None:
            loaded = demo.load_generated(as_platform_dsn)
        else:
            loaded = demo.load_exports(as_platform_dsn, clients)
        rows = sum(sum(client.rows.values()) for client in loaded)
        progress.say(f"platform data: {len(loaded)} clients, {rows} rows")
    except demo.PlatformNotEmpty:
        pass  # a run that was interrupted has loaded it: it is one transaction
    instance.mark("platform_data", "loaded")


def register_clients(instance: Instance, primary: str, replica: str) -> None:
    """Put the platform's clients into the registry, provision them on both sides, write the registry's snapshot.

    `primary` and `replica` are a superuser's. A client that is registered already keeps its row.
    """
    # Exports end in the past: their clients live at the time of their last row.
    clock = "wall" if instance.data is None else "data"
    with psycopg.connect(primary) as connection:
        clients = connection.execute(statement("deployment/platform_clients")).fetchall()
        for entry in entries(clients, clock):
            connection.execute(statement("deployment/register_client"), entry)
        connection.execute(statement("platform_data/let_act"), {"user": ADMIN})
    deployment.provision(primary, replica, *(client_id for client_id, _, _ in clients))
    registry.sync(databases(primary, replica, instance.secrets["app"]), instance.snapshot)


def entries(clients: Iterable[tuple[int, str, str | None]], clock: str) -> list[dict[str, Any]]:
    """Rows of the registry for those clients (id, name, slug) that have no slug yet."""
    clients = list(clients)
    taken = {slug for _, _, slug in clients if slug}
    made = []
    for client_id, name, slug in clients:
        if slug is None:
            slug = slug_for(client_id, name, taken)
            taken.add(slug)
            made.append({"client_id": client_id, "slug": slug, "name": name, "clock": clock})
    return made


def slug_for(client_id: int, name: str, taken: Collection[str]) -> str:
    """A name for URLs and DAGs: small Latin letters, digits and `_`; the id makes it unique where the name does not."""
    letters = unidecode(name).lower().replace("'", "")  # O'Brien is one word
    slug = re.sub(r"[^a-z0-9]+", "_", letters).strip("_")[:SLUG_LENGTH].rstrip("_")
    if not slug:
        return f"client_{client_id}"
    if slug in taken:
        ending = f"_{client_id}"
        slug = slug[: SLUG_LENGTH - len(ending)] + ending
    return slug


def databases(primary: str, replica: str, password: str) -> Databases:
    """Both databases as the application's login sees them, without Airflow."""
    places = {PRIMARY: primary, REPLICA: replica}

    def connect(conn_id: str) -> psycopg.Connection:
        return psycopg.connect(make_conninfo(places[conn_id], user=deployment.APP, password=password))

    return Databases(connect)


@contextlib.contextmanager
def etl(instance: Instance) -> Iterator[None]:
    """The platform's ETL, a process of the platform's role, for as long as the body runs. Exports have none."""
    if instance.data is not None:
        yield
        return
    place = conninfo_to_dict(
        clusters.of(instance).primary.conninfo(PLATFORM, user=PLATFORM, password=instance.secrets["platform"])
    )
    # Through the environment: everybody can read a command line.
    variables = {LIBPQ[name]: str(value) for name, value in place.items()}
    with (instance.logs / "etl.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo.etl"],
            cwd=CHECKOUT,
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
