"""Statements: found by path, holes filled with identifiers, values left to the driver."""

from __future__ import annotations

import pytest
from psycopg import sql

from include.foresight.sql import ROOT, statement, text


def test_a_text_is_the_files():
    assert text("statements/clients/by_slug") == (ROOT / "statements" / "clients" / "by_slug.sql").read_text()


def test_a_statement_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match="statements/clients/nobody.sql"):
        statement("clients/nobody")


def test_a_string_fills_a_hole_as_an_identifier():
    made = statement("features/columns", table='odd"; drop table x; --').as_string(None)
    assert 'from "odd""; drop table x; --"\n' in made


def test_composed_sql_fills_a_hole_as_it_is():
    made = statement("replay/lived", features=sql.SQL("select 1 as one")).as_string(None)
    assert made.endswith("create temporary table lived on commit drop as\nselect 1 as one\n")
    assert '"ml_client_1"."t"' in statement("features/columns", table=sql.Identifier("ml_client_1", "t")).as_string(
        None
    )


def test_a_hole_without_a_filling_is_refused():
    with pytest.raises(KeyError, match="table"):
        statement("features/columns")


def test_values_stay_where_the_driver_finds_them():
    assert "where slug = %(slug)s" in statement("clients/by_slug").as_string(None)


def test_doubled_braces_are_literal_ones():
    assert "failed_tasks = '{}'" in statement("runs/open").as_string(None)
