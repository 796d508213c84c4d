"""Tests that could not fail: what no assertion looks at, and what a constant decides."""

from __future__ import annotations

import ast

from tests.architecture.source import called, name_of, python_files, tree_of

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Of pytest, and of the assertions that pandas and numpy bring.
EXPECTATIONS = {"raises", "warns", "fail"}


def expects(function: ast.AST) -> bool:
    """Whether a function has an assertion of its own."""
    return any(
        isinstance(node, ast.Assert)
        or (called(node) or "") in EXPECTATIONS
        or (called(node) or "").startswith("assert_")
        for node in ast.walk(function)
    )


def without_an_assertion(tree: ast.Module) -> list[str]:
    """Tests that neither assert nor call a function of their module that does."""
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)}
    expecting = {name for name, node in functions.items() if expects(node)}
    while True:
        more = {
            name
            for name, node in functions.items()
            if name not in expecting
            and any(isinstance(one, ast.Call) and ast.unparse(one.func) in expecting for one in ast.walk(node))
        }
        if not more:
            return sorted(name for name in functions if name.startswith("test_") and name not in expecting)
        expecting |= more


def test_every_test_asserts():
    """One that only runs is green whatever comes out of it."""
    found = {name_of(path): without_an_assertion(tree_of(path)) for path in python_files("tests")}
    assert {name: tests for name, tests in found.items() if tests} == {}


def test_a_test_without_an_assertion_is_seen():
    text = """
def check(x):
    assert x

def through(x):
    check(x)

def test_by_a_helper():
    through(1)

def test_by_pytest():
    with pytest.raises(ValueError):
        run()

def test_by_pandas():
    pd.testing.assert_frame_equal(a, b)

def test_of_nothing():
    run(assertion=True)
"""
    assert without_an_assertion(ast.parse(text)) == ["test_of_nothing"]


def decided_by_a_constant(tree: ast.AST) -> list[str]:
    """Assertions and conditions of which a constant is the whole or a part, which makes the rest a dead letter."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert | ast.If | ast.IfExp):
            parts = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
            if any(isinstance(part, ast.Constant | ast.Tuple | ast.JoinedStr) for part in parts):
                found.append(f"line {node.lineno}: {ast.unparse(node.test)}")
    return found


def test_no_constant_decides():
    """`if False`, `or True`, and an assertion of a pair, which is always true."""
    found = {name_of(path): decided_by_a_constant(tree_of(path)) for path in python_files("tests")}
    assert {name: lines for name, lines in found.items() if lines} == {}
    for bad in ("x = a if False else b", "assert found or True", "assert (x == 1, 'why')"):
        assert decided_by_a_constant(ast.parse(bad))
    assert decided_by_a_constant(ast.parse("while True:\n    assert x == (1, 2)")) == []
