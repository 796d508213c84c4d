"""The benchmarks: each prints a table and, last, one line of JSON.

They run on throw-away servers, take minutes or more, and want a machine that does nothing else.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)
console = Console(width=None if sys.stdout.isatty() else 200)


def say(line: str) -> None:
    """Progress, beside the table and not in it."""
    print(line, file=sys.stderr, flush=True)


@app.command()
def engine() -> None:
    """Our pgml beside the bare libraries: training, scoring, memory."""
    from benchmarks import engine as benchmark

    measured = benchmark.run(say)
    console.print(benchmark.table(measured))
    print(benchmark.as_json(measured), flush=True)
