"""What the rules look at: files of the checkout, and what a piece of Python imports and says."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SQL = ROOT / "sql"
STATEMENTS = SQL / "statements"
LIBRARY = ROOT / "include" / "foresight"
ENGINE = ROOT / "include" / "pgml_engine"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python_files(*folders: str) -> list[Path]:
    """The Python files below these folders of the checkout."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def sql_files(*folders: str) -> list[Path]:
    """The SQL files below these folders of sql/."""
    return sorted(path for folder in folders for path in (SQL / folder).rglob("*.sql"))


@cache
def committed() -> tuple[Path, ...]:
    """Files that are in the repository or would come into it; what .gitignore names is not among them."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        # A copy without its history, or a machine without git.
        return tuple(sorted(path for path in ROOT.rglob("*") if path.is_file() and not _is_ignored(path)))
    return tuple(sorted(path for name in listed.split("\0") if name and (path := ROOT / name).is_file()))


def _is_ignored(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    patterns = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    names = {".git", *(pattern.strip("/") for pattern in patterns)}
    return bool(names.intersection(parts)) or path.suffix == ".pyc"


def text_of(path: Path) -> str | None:
    """None for what is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(tree: ast.AST) -> set[str]:
    """Every name that is imported, wherever: `from a import b` gives a.b. Relative ones begin with a dot."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            before = "." * node.level + (node.module or "")
            joint = "" if before.endswith(".") else "."
            found |= {f"{before}{joint}{alias.name}" for alias in node.names}
    return found


def is_in(name: str, packages: tuple[str, ...] | set[str]) -> bool:
    """Whether a dotted name is one of these packages or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def strings(tree: ast.AST) -> Iterator[str]:
    """The texts of a module that are no docstrings; of an f-string its fixed parts, put together."""
    docstrings, parts = set(), set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            docstrings.add(id(body[0].value))
        if isinstance(node, ast.JoinedStr):
            parts |= {id(one) for one in ast.walk(node) if one is not node}
            yield "".join(one.value for one in node.values if isinstance(one, ast.Constant))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings and id(node) not in parts:
                yield node.value


def called(node: ast.AST) -> str | None:
    """The last part of the name that a call calls: `execute` of `cursor.execute(...)`."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else None


def without_comments(sql: str) -> str:
    """SQL without its line comments; an odd number of quotes before the dashes means that they stand in a text."""
    lines = []
    for line in sql.splitlines():
        for found in re.finditer("--", line):
            if line[: found.start()].count("'") % 2 == 0:
                line = line[: found.start()]
                break
        lines.append(line.rstrip())
    return "\n".join(lines)


def without_texts(sql: str) -> str:
    """SQL without comments and without what stands in quotes."""
    return re.sub(r"'(?:[^']|'')*'", "''", without_comments(sql))
