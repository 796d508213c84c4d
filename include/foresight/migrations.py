"""The histories of schema `ml`, one per side: numbered scripts that run once, functions and views that are re-applied.

Alembic keeps the books (ml.alembic_version); the scripts are plain SQL. A script runs unparsed and without parameters
on the driver's connection, since `%` and `:x` in a function's body mean something to everything in between.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import psycopg
import sqlalchemy
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script.base import Script
from alembic.script.revision import RevisionError, RevisionMap
from psycopg import sql
from sqlalchemy.pool import NullPool

from include.foresight import administration, names
from include.foresight.errors import ConfigurationError
from include.foresight.sql import ROOT, statement

FROZEN = "frozen.txt"
SCRIPT_NAME = re.compile(r"(?P<number>[0-9]{4})_[a-z0-9_]+\.sql")


@dataclass(frozen=True)
class History:
    """`migrations` holds NNNN_*.sql and frozen.txt, `functions` holds NNN_*.sql."""

    migrations: Path
    functions: Path

    def scripts(self) -> list[Path]:
        """The migrations in order; raises ConfigurationError if one is misnumbered or not as it was frozen."""
        scripts = sorted(self.migrations.glob("*.sql"))
        for number, script in enumerate(scripts, start=1):
            name = SCRIPT_NAME.fullmatch(script.name)
            if not name or int(name["number"]) != number:
                raise ConfigurationError(
                    f"{script}: migrations are named NNNN_words.sql and numbered without gaps; "
                    f"this one must be {number:04}"
                )
        self._check_frozen(scripts)
        return scripts

    def _check_frozen(self, scripts: list[Path]) -> None:
        frozen = self.migrations / FROZEN
        # `sha256sum *.sql > frozen.txt` writes it, while a script is not released yet and never after.
        lines = frozen.read_text(encoding="utf-8").splitlines() if frozen.exists() else []
        wanted = {name: digest for digest, name in (line.split() for line in lines)}
        for script in scripts:
            if script.name not in wanted:
                raise ConfigurationError(f"{frozen} has no line for {script.name}")
            found = hashlib.sha256(script.read_bytes()).hexdigest()
            if found != wanted[script.name]:
                raise ConfigurationError(
                    f"{script} is not what {FROZEN} says (sha256 {found}, frozen {wanted[script.name]}): "
                    "a migration is never edited once it is released; write the next one"
                )
        gone = sorted(wanted.keys() - {script.name for script in scripts})
        if gone:
            raise ConfigurationError(f"{frozen} names {', '.join(gone)}, which is not in the folder")

    def function_scripts(self) -> list[Path]:
        return sorted(self.functions.glob("*.sql"))


def history(side: str) -> History:
    """The history of 'primary' or 'replica'."""
    return History(ROOT / "migrations" / side, ROOT / "functions" / side)


def upgrade(dsn: str, history: History) -> list[str]:
    """Bring one database up to date, as schema ml's owner. What was run: migrations, and `functions` for all those.

    `dsn` is a conninfo of a role that may become foresight_owner. Each migration is one transaction, and functions and
    views are part of the last one's; without a migration they are re-applied only if a file has changed. While others
    read a table or view that it changes, it tries again and again.
    """
    run: list[str] = []
    administration.patiently(lambda: _upgrade(dsn, history, run))
    return list(dict.fromkeys(run))  # a script that got no lock was run twice


def _upgrade(dsn: str, history: History, run: list[str]) -> None:
    """One try of `upgrade`, which goes on after what is committed."""
    scripts, functions = history.scripts(), history.function_scripts()
    digest = digest_of(functions)
    driver = psycopg.connect(dsn)
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: driver, poolclass=NullPool, use_native_hstore=False
    )

    def execute(paths: list[Path]) -> None:
        for path in paths:
            try:
                driver.execute(path.read_bytes())
            except psycopg.Error as error:
                error.add_note(f"in {path}")
                raise

    def apply_functions() -> None:
        execute(functions)
        run.append("functions")
        driver.execute(statement("deployment/note_applied"), {"part": "functions", "digest": digest})

    with engine.connect() as connection:
        driver.execute(sql.SQL("set role to {}").format(sql.Identifier(names.OWNER)))
        driver.execute(statement("migrations/lock"))
        # A routine of the platform's in the path must not be taken for one of PostgreSQL's.
        driver.execute("set search_path to pg_catalog, public")
        driver.execute("set client_min_messages to warning")
        driver.execute(administration.lock_timeout())
        driver.commit()
        last = scripts[-1] if scripts else None

        def work(script: Path) -> Callable[[], None]:
            def upgrade() -> None:
                execute([script])
                run.append(script.stem)
                if script == last:
                    apply_functions()

            return upgrade

        def steps(heads: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
            revisions = RevisionMap(lambda: revisions_of(scripts, work))
            try:
                pending = list(revisions.iterate_revisions("head", heads or "base", implicit_base=True))
            except RevisionError as error:
                raise ConfigurationError(
                    f"schema ml of this database is at revision {', '.join(heads)}, which {history.migrations} "
                    "does not have: a newer Foresight has been here"
                ) from error
            for revision in reversed(pending):
                yield MigrationStep.upgrade_from_script(revisions, revision)

        context = MigrationContext.configure(
            connection, opts={"fn": steps, "version_table_schema": "ml", "transaction_per_migration": True}
        )
        context.run_migrations()
        if driver.execute(statement("deployment/applied"), {"part": "functions"}).fetchone() != (digest,):
            apply_functions()
        driver.commit()


def revisions_of(scripts: list[Path], work: Callable[[Path], Callable[[], None]]) -> Iterator[Script]:
    """Alembic's revisions, made from the scripts' names: one line of history, the number is the revision."""
    before = None
    for script in scripts:
        number = script.name[:4]
        module = ModuleType(script.stem, doc=script.stem)
        module.revision, module.down_revision, module.upgrade = number, before, work(script)
        yield Script(module, number, str(script))
        before = number


def digest_of(paths: list[Path]) -> str:
    """What tells one state of these files from another."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
