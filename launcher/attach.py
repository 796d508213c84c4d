"""Foresight on servers that exist: what is found and done, what an administrator has to run, what Airflow needs."""

from __future__ import annotations

import json
import os
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from include.foresight import administration, deployment, detachment, inspection, pgml
from include.foresight.administration import Left, Work
from include.foresight.database import Transaction
from include.foresight.deployment import APP, REPLICATION, Passwords
from include.foresight.errors import ForesightError
from include.foresight.inspection import Look
from include.foresight.replication import SUBSCRIPTION
from include.foresight.sql import statement
from launcher import platform_data
from launcher.airflow import CONNECTION_OPTIONS
from launcher.errors import LauncherError

VARIABLES = {APP: "FORESIGHT_APP_PASSWORD", REPLICATION: "FORESIGHT_REPLICATION_PASSWORD"}
CONNECTIONS = ("AIRFLOW_CONN_FORESIGHT_PRIMARY", "AIRFLOW_CONN_FORESIGHT_REPLICA")
# Who he is, and what his own machine keeps for that.
OF_THE_ADMINISTRATOR = {
    "user",
    "password",
    "passfile",
    "service",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcertmode",
    "options",
    "application_name",
}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Servers:
    """`for_replica`: where the replica finds the primary, if that is not where we find it."""

    primary: str
    replica: str
    for_replica: str | None = None

    def subscription(self, password: str | None) -> str | None:
        """How the replica reaches the primary, None without the password."""
        if password is None:
            return None
        place = make_conninfo(self.for_replica or self.primary, user=REPLICATION, password=password)
        if not conninfo_to_dict(place).get("host"):
            raise LauncherError(
                "the primary's connection names no host, so the replica cannot find it: name one in --primary, or "
                "another way in --primary-for-replica"
            )
        return place


@dataclass
class Result:
    """What is left to an administrator (empty: everything is set up), and what Airflow's environment needs."""

    left: list[Left]
    environment: dict[str, str] = field(default_factory=dict)

    def script(self, side: str) -> str:
        return administration.script(side, self.left)


def rehearse(servers: Servers, passwords: Mapping[str, str], say: Say) -> Result:
    """Look, tell, and change nothing."""
    looks = _look(servers, say)
    found = inspection.problems(*looks)
    if found:
        raise LauncherError("\n".join(found))
    known = passwords.get(REPLICATION) or "PASSWORD"
    works = _translated(lambda: deployment.rehearse(servers.primary, servers.replica, servers.subscription(known)))
    _tell_planned(works, say)
    say("replica: would make or complete the copies, schemas ml and ml_pgml, and wait for the first copy")
    say("nothing was changed")
    return Result([one for work in works for one in work.left])


def attach(servers: Servers, passwords: Mapping[str, str], say: Say, *, new_passwords: bool = False) -> Result:
    """Set both servers up as far as their logins may. `passwords`: by role, those that are known.

    A login that is there already keeps its password unless that is known or `new_passwords` asks for others.
    """
    looks = _look(servers, say)
    known = _passwords(looks, passwords, new_passwords=new_passwords)
    subscription = servers.subscription(known.get(REPLICATION))
    works = _translated(
        lambda: deployment.attach(
            servers.primary,
            servers.replica,
            replication_dsn_for_replica=subscription,
            passwords=Passwords(app=known.get(APP), replication=known.get(REPLICATION)),
            progress=say,
        )
    )
    left = [one for work in works for one in work.left]
    if not left:
        _check_engine(servers.replica, say)
    return Result(left, environment(servers, known))


def register_clients(servers: Servers, say: Say) -> None:
    """A row of ml.clients for each of the platform's clients that has none. `sync_clients` does the rest."""
    with deployment.connections(servers.primary, servers.replica) as (primary, replica):
        # The copies are ours to read, the platform's tables perhaps not.
        copied = statement("deployment/copied_clients")
        there = deployment.as_owner(replica, lambda: replica.execute(copied).fetchall())

        def register() -> tuple[int, int]:
            slugs = dict(primary.execute(statement("deployment/registered")).fetchall())
            new = platform_data.entries([(one, name, slugs.get(one)) for one, name in there], "wall")
            for entry in new:
                primary.execute(statement("deployment/register_client"), entry)
            return len(new), len(slugs)

        new, known = deployment.as_owner(primary, register)
    deployment.provision(servers.primary, servers.replica, *(one for one, _ in there))
    say(f"clients: {new} new in the registry, {known} were there")


def detach(servers: Servers, *, everything: bool, yes: bool, say: Say) -> Result:
    lost = _translated(lambda: detachment.losses(servers.primary, servers.replica)) if everything else {}
    if lost:
        words = ", ".join(f"{count} {name}" for name, count in lost.items())
        say(f"schema ml of the primary {'goes' if yes else 'would go'} with {words}")
    works = _translated(
        lambda: detachment.detach(servers.primary, servers.replica, everything=everything, dry_run=not yes, say=say)
    )
    if not yes:
        _tell_planned(works, say)
        say("nothing was changed: add --yes to do it")
    return Result([one for work in works for one in work.left])


def drift(servers: Servers) -> list[str]:
    """Where the platform's tables have moved on from their copies."""
    return _translated(lambda: inspection.drift(*(look.columns for look in _looks(servers))))


def _looks(servers: Servers) -> tuple[Look, Look]:
    return deployment.inspect(servers.primary, servers.replica)


def _look(servers: Servers, say: Say) -> tuple[Look, Look]:
    looks = _translated(lambda: _looks(servers))
    for line in inspection.report(*looks):
        say(line)
    return looks


def _translated(work):
    """The library's errors are for the user to act on."""
    try:
        return work()
    except (ForesightError, psycopg.Error) as error:
        raise LauncherError(str(error).strip()) from error


def _tell_planned(works: Sequence[Work], say: Say) -> None:
    for work in works:
        for step in work.planned:
            say(f"{work.side}: would {step.what}")


def _passwords(looks: tuple[Look, Look], known: Mapping[str, str], *, new_passwords: bool) -> dict[str, str]:
    """The known ones, and new ones for logins that are not there yet."""
    made = dict(known)
    for role in VARIABLES:
        sides = looks if role == APP else looks[:1]
        absent = any(role not in look.roles for look in sides)
        if role not in made and (absent or new_passwords):
            if absent and not new_passwords and any(role in look.roles for look in sides):
                raise LauncherError(
                    f"{role} is there on one side and has a password that is not known: name it in {VARIABLES[role]} "
                    "or in the file of --env-file, or let --new-passwords set another on both sides"
                )
            made[role] = secrets.token_urlsafe(18)
    if REPLICATION not in made and SUBSCRIPTION not in looks[1].subscriptions:
        raise LauncherError(
            f"the subscription needs the password of {REPLICATION}: name it in {VARIABLES[REPLICATION]} or in the file "
            "of --env-file, or let --new-passwords set another (further replicas must be told)"
        )
    return made


def _check_engine(replica: str, say: Say) -> None:
    """pgml may be installed in the database and not found by the server's Python, or without what that Python needs."""
    with psycopg.connect(replica) as connection:
        try:
            say(f"replica: pgml {pgml.version(Transaction(connection))} answers")
            for package, reason in pgml.missing_packages(Transaction(connection)).items():
                say(
                    f"replica: warning: PostgresML cannot import the Python package {package} ({reason}) and trains no "
                    "linear model without it: install it where pgml.venv leads, and restart the server"
                )
        except psycopg.Error as error:
            raise LauncherError(
                f"pgml is installed in the replica and does not answer: {str(error).strip()}\n"
                "The Python of that machine's PostgreSQL needs its package: run ./foresight install-pgml there"
            ) from error


def environment(servers: Servers, passwords: Mapping[str, str]) -> dict[str, str]:
    """What Airflow's environment needs, and the passwords for the next attach."""
    password = passwords.get(APP, "PASSWORD-AS-BEFORE")
    variables = {
        name: connection(place, password)
        for name, place in zip(CONNECTIONS, (servers.primary, servers.replica), strict=True)
    }
    return variables | {VARIABLES[role]: word for role, word in passwords.items()}


def connection(dsn: str, password: str) -> str:
    """An Airflow connection of the application's login to the server of that conninfo, as JSON. What the conninfo says
    of the server and of the way to it goes along; what it says of the administrator does not."""
    place = conninfo_to_dict(dsn)
    port = str(place.pop("port", 5432))
    host, database = place.pop("host", ""), place.pop("dbname", "")
    others = {name: value for name, value in place.items() if name not in OF_THE_ADMINISTRATOR}
    if not port.isdigit():  # one for each of several hosts, and Airflow's field takes one
        others["port"] = port
    settings = others | {"options": CONNECTION_OPTIONS}
    return json.dumps(
        {
            "conn_type": "postgres",
            "host": host,
            "port": int(port) if port.isdigit() else None,
            "login": APP,
            "password": password,
            "schema": database,
            # Twice: what goes through SQLAlchemy (get_df) does not read the first.
            "extra": {"connect_timeout": 10} | settings | {"sqlalchemy_query": settings},
        }
    ).replace("'", "\\u0027")  # so that it stands between quotes in a shell's and in Docker's files


def known_passwords(file: Path | None) -> dict[str, str]:
    """By role, from the environment and from a file that an earlier attach has written."""
    lines = file.read_text(encoding="utf-8").splitlines() if file and file.exists() else []
    stated = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            stated[name] = "".join(shlex.split(value))
    stated |= {name: os.environ[name] for name in VARIABLES.values() if os.environ.get(name)}
    return {role: stated[name] for role, name in VARIABLES.items() if stated.get(name)}


def as_lines(variables: Mapping[str, str]) -> list[str]:
    return [f"{name}={shlex.quote(value)}" for name, value in variables.items()]


def write(path: Path, text: str) -> None:
    """Readable by its owner only, from its first moment on: there are passwords in it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
