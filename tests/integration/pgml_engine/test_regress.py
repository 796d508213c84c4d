"""SQL through psql, its output compared with what is written down: regress/<name>.sql and regress/expected/<name>.out.

After a change that was meant, FORESIGHT_REGRESS_WRITE=1 writes the expected files anew: read the difference.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from launcher.system import postgres_bin

FOLDER = Path(__file__).parent / "regress"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.sql"))

# Where in the server's sources an error was raised is no part of what is promised.
LOCATION = re.compile(r"^LOCATION: .*\n", re.MULTILINE)


def ran(conninfo: str, script: str) -> str:
    options = ["--no-psqlrc", "--echo-queries", "--quiet", "--set=SHOW_CONTEXT=never", "--file=-", "--dbname", conninfo]
    command = [postgres_bin() / "psql", *options]
    settings = {"PGOPTIONS": "-c client_min_messages=warning -c timezone=UTC -c lc_messages=C", "PATH": "/usr/bin:/bin"}
    run = subprocess.run(
        command, input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=settings, check=True
    )
    return LOCATION.sub("", re.sub(r"^psql:<stdin>:\d+: ", "", run.stdout, flags=re.MULTILINE))


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_output_is_as_written_down(engine_db, install_pgml, name):
    database = f"regress_{name}"
    with psycopg.connect(engine_db, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
    conninfo = make_conninfo(engine_db, dbname=database)
    with psycopg.connect(conninfo) as connection:
        install_pgml(connection)
    output = ran(conninfo, (FOLDER / f"{name}.sql").read_text())
    expected = FOLDER / "expected" / f"{name}.out"
    if os.environ.get("FORESIGHT_REGRESS_WRITE"):
        expected.write_text(output)
    assert output == expected.read_text()


def test_each_script_has_an_output_and_the_other_way_round():
    assert len(SCRIPTS) >= 5
    assert sorted(path.stem for path in (FOLDER / "expected").glob("*.out")) == SCRIPTS
