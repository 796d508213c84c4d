"""What is said to pgml, as text: PostgresML crashes, or answers with another model, where an argument is not cast."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.foresight.sql import ROOT

FOLDER = ROOT / "statements" / "pgml"
STATEMENTS = sorted(FOLDER.glob("*.sql"))

# Models are called by id (bigint), with float4 features; a name would be looked up in every session's own cache.
CASTS = {"model_id": "bigint", "features": "real[]"}
PREDICTING = {"answer", "answer_scored", "predictions", "explain"}
# What is called beside the gateway: ours alone, or PostgresML's alone.
DIRECT = {"explain", "used", "package"}


def code(path: Path) -> str:
    return re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))


def calls(text: str) -> list[list[str]]:
    """Arguments of every call of a function of pgml or its gateway, but for looking a model up."""
    found = []
    for call in re.finditer(r"\b(?:ml_)?pgml\.(?!model\()\w+\(", text):
        depth, argument, arguments = 1, "", []
        for sign in text[call.end() :]:
            depth += (sign in "([") - (sign in ")]")
            if depth == 0 or (depth == 1 and sign == ","):
                arguments.append(" ".join(argument.split()))
                argument = ""
                if depth == 0:
                    break
            else:
                argument += sign
        found.append([one for one in arguments if one])
    return found


def uncast(text: str) -> list[str]:
    """Arguments that leave it to the server which of several functions is meant."""
    wrong = []
    for argument in (one for call in calls(text) for one in call):
        value = argument.split("=>")[-1].strip()
        if value.startswith("%(") and not re.fullmatch(r"%\(\w+\)s::[a-z_.]+(\[\])?", value):
            wrong.append(argument)
    return wrong


def untyped(text: str) -> list[str]:
    """Ids and features in a call, with another type than pgml's."""
    wrong = []
    for argument in (one for call in calls(text) for one in call):
        named = re.match(r"%\((\w+)\)s", argument)
        if named and named[1] in CASTS and argument != f"%({named[1]})s::{CASTS[named[1]]}":
            wrong.append(argument)
    return wrong


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_every_argument_of_a_call_is_cast(path: Path):
    assert uncast(code(path)) == [] and untyped(code(path)) == []


@pytest.mark.parametrize("name", sorted(PREDICTING))
def test_answers_are_asked_for_by_id_with_float4(name: str):
    """PostgresML has `predict(text, real[])` and `predict(bigint, real[])`: float8 would choose neither."""
    text = code(FOLDER / f"{name}.sql")
    [(model, features, *probabilities)] = calls(text)
    assert model == "%(model_id)s::bigint" and probabilities in ([], ["%(probabilities)s::boolean"])
    # Given, or a part of what is given, or gathered from rows that the same statement has cast.
    assert (
        re.fullmatch(r"%\(features\)s::real\[\]|\(%\(features\)s::real\[\]\)\[.+:.+\]", features)
        or "array[{features}]::real[]" in text
    )


def test_rows_reach_the_model_as_one_array():
    """A call per row costs as much as the whole batch, and PostgresML's own batch wants them flat."""
    for name in ("answer_scored", "predictions"):
        text = code(FOLDER / f"{name}.sql")
        assert len(calls(text)) == 1 and "array_agg(array[{features}]::real[] order by position)" in text
        called = re.search(r"(\w+) as materialized \(\s*select ml_pgml\.answers", text)
        assert called, f"{name}: without `materialized` the planner may put the call into every row"


def test_pgml_is_reached_through_the_gateway():
    """PostgresML lets no client in: what is said to pgml itself is for one engine, and asked only where that is."""
    assert {path.stem for path in STATEMENTS if re.search(r"\bpgml\.", code(path))} == DIRECT


def test_a_call_without_a_cast_is_seen():
    assert uncast("select pgml.predict(%(model_id)s, array[1, 2]::real[])") == ["%(model_id)s"]
    assert uncast("select pgml.train(project_name => %(project)s)") == ["project_name => %(project)s"]
    assert uncast("select ml_pgml.answers(%(model_id)s::bigint, %(features)s)") == ["%(features)s"]
    assert untyped("select pgml.deploy(%(model_id)s::integer)") == ["%(model_id)s::integer"]
    assert untyped("select ml_pgml.answers(%(features)s::float8[])") == ["%(features)s::float8[]"]
    assert calls("select pgml.f(a, g(b, c), array[d, e])") == [["a", "g(b, c)", "array[d, e]"]]
