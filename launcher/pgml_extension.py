"""The files of the extension `pgml`, made from sql/pgml: what CREATE EXTENSION runs is what the scripts would do.

The version is the engine's and a digest of its SQL, so that each state has one; each older one that is found beside it
gets a script that leads to the new. What the scripts do can be repeated, so one body makes, adopts and upgrades.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from launcher.errors import LauncherError
from launcher.system import CHECKOUT

NAME = "pgml"
# How a control file of ours is known.
MARK = "# Foresight's pgml_engine: made by ./foresight install-pgml"
SCRIPTS = CHECKOUT / "sql" / "pgml"

SCRIPT_ONLY, BOTH = "-- script only", "-- script and extension"
CREATED = re.compile(
    r"^create (?:or replace )?(?P<kind>table|view|function)(?: if not exists)? pgml\.(?P<name>\w+)", re.MULTILINE
)
TYPES = re.compile(r"^            \('(?P<name>\w+)', array\[", re.MULTILINE)
VERSION = re.compile(r'^__version__ = "(?P<version>[0-9.]+)"', re.MULTILINE)

# An extension may only replace what belongs to it. What sql/pgml made by script before joins it here; copies of rows
# (pgml.snapshot_<id>) and data sets stay their own.
ADOPT = """
do $adopt$
declare
    found record;
begin
    if exists (
        select from pg_proc as p inner join pg_language as l on p.prolang = l.oid
        where p.pronamespace = 'pgml'::regnamespace and p.proname = 'train' and l.lanname <> 'plpython3u'
    ) then
        raise exception 'schema pgml holds functions of another engine: drop that first'
            using errcode = 'duplicate_object';
    end if;
    for found in
        select 'type' as kind, t.oid::regtype::text as name, t.oid as id, 'pg_type'::regclass as class
        from pg_type as t
        where t.typnamespace = 'pgml'::regnamespace and t.typtype = 'e' and t.typname = any({types})
        union all
        select
            case c.relkind when 'r' then 'table' when 'v' then 'view' else 'sequence' end,
            c.oid::regclass::text, c.oid, 'pg_class'::regclass
        from pg_class as c
        where
            c.relnamespace = 'pgml'::regnamespace
            and (
                c.relkind in ('r', 'v') and c.relname = any({relations})
                or c.relkind = 'S' and exists (
                    select from pg_depend as d inner join pg_class as t on d.refobjid = t.oid
                    where d.objid = c.oid and d.deptype = 'a' and t.relname = any({relations})
                )
            )
        union all
        select 'function', p.oid::regprocedure::text, p.oid, 'pg_proc'::regclass
        from pg_proc as p
        where p.pronamespace = 'pgml'::regnamespace and p.proname = any({functions})
    loop
        if not exists (
            select from pg_depend as d
            where d.classid = found.class and d.objid = found.id and d.deptype = 'e'
        ) then
            execute format('alter extension pgml add %s %s', found.kind, found.name);
        end if;
    end loop;
end
$adopt$;
"""

# Rows that are a user's: a dump has them, whatever the extension makes anew.
DUMPED = """
do $dumped$
declare
    found record;
begin
    for found in
        select c.oid::regclass as relation
        from pg_depend as d inner join pg_class as c on d.objid = c.oid
        where
            d.classid = 'pg_class'::regclass and d.deptype = 'e' and c.relkind in ('r', 'S')
            and d.refobjid = (select e.oid from pg_extension as e where e.extname = 'pgml')
    loop
        perform pg_catalog.pg_extension_config_dump(found.relation, '');
    end loop;
end
$dumped$;
"""


def body() -> str:
    """What CREATE EXTENSION and ALTER EXTENSION UPDATE run."""
    files = {path.name: _both(path.read_text(encoding="utf-8")) for path in sorted(SCRIPTS.glob("*.sql"))}
    text = "\n".join(f"-- {name}\n{content}" for name, content in files.items())
    names: dict[str, set[str]] = {"table": set(), "view": set(), "function": set()}
    for found in CREATED.finditer(text):
        names[found["kind"]].add(found["name"])
    adopt = ADOPT.format(
        types=_array(found["name"] for found in TYPES.finditer(text)),
        relations=_array(names["table"] | names["view"]),
        functions=_array(names["function"]),
    )
    # A script starts where the extension's schema is searched first; what is created says its schema anyhow.
    return f'\\echo Use "create extension pgml cascade" to load this file. \\quit\n{adopt}\n{text}\n{DUMPED}'


def version() -> str:
    engine = VERSION.search((CHECKOUT / "include" / "pgml_engine" / "__init__.py").read_text(encoding="utf-8"))
    assert engine is not None
    return f"{engine['version']}-{hashlib.sha256(body().encode()).hexdigest()[:8]}"


def control() -> str:
    return (
        f"{MARK}\n"
        "comment = 'Machine learning inside the database with the SQL API of PostgresML'\n"
        f"default_version = '{version()}'\n"
        "relocatable = false\n"
        f"schema = {NAME}\n"
        "requires = 'plpython3u'\n"
        "superuser = true\n"
        "trusted = false\n"
    )


def files(folder: Path) -> dict[str, str]:
    """The files for PostgreSQL's folder `extension`, by name, in an order that is safe to be interrupted.

    Raises LauncherError where a pgml.control stands that is not ours.
    """
    there = folder / f"{NAME}.control"
    if there.exists() and MARK not in there.read_text(encoding="utf-8"):
        raise LauncherError(
            f"{there} belongs to another pgml (PostgresML?) and stays: two engines cannot share a server's files"
        )
    new, text = version(), body()
    made = {f"{NAME}--{new}.sql": text}
    for script in sorted(folder.glob(f"{NAME}--*.sql")):
        old = script.stem.split("--")[1:]
        if len(old) == 1 and old[0] != new:
            made[f"{NAME}--{old[0]}--{new}.sql"] = text
    return made | {there.name: control()}


def _both(text: str) -> str:
    """Without the parts that are for a script only."""
    kept, taken = [], True
    for line in text.splitlines():
        if line.startswith(SCRIPT_ONLY):
            taken = False
        elif line.startswith(BOTH):
            taken = True
        elif taken:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _array(names: Iterable[str]) -> str:
    return "array['" + "', '".join(sorted(names)) + "']"
