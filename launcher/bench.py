"""The benchmarks: each prints a table and, last, one line of JSON.

They run on throw-away servers, take minutes or more, and want a machine that does nothing else.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from launcher.errors import LauncherError
from launcher.system import CHECKOUT
from launcher.terminal import console

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)


def say(line: str) -> None:
    """Progress, beside the table and not in it."""
    print(line, file=sys.stderr, flush=True)


def hush() -> None:
    """What every replayed night would log is in the result. For the whole process: called by commands alone."""
    logging.getLogger("include.foresight").setLevel(logging.ERROR)


@app.command()
def engine() -> None:
    """Our pgml beside the bare libraries: training, scoring, memory."""
    from benchmarks import engine as benchmark

    measured = benchmark.run(say)
    console.print(benchmark.table(measured))
    print(benchmark.as_json(measured), flush=True)


@app.command()
def honesty(
    data: Annotated[Path, typer.Option(help="A folder of exports; one project is one client.", show_default=False)],
    projects: Annotated[
        str | None, typer.Option(metavar="A,B", help="These projects alone.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of generated data, and of the sample.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few small projects unless some are named, and nothing on generated data.")
    ] = False,
) -> None:
    """Can the predictions be trusted? Every project's history, lived again.

    Beside it, on generated data: the gate, the leak probe, a planted signal.
    """
    from benchmarks import honesty as benchmark

    hush()
    if not data.is_dir():
        raise LauncherError(f"there is no folder {data}: --data names a folder of CSV exports (docs/data.md)")
    names = [one.strip() for one in projects.split(",") if one.strip()] if projects else None
    measured = benchmark.run(data, projects=names, seed=seed, quick=quick, say=say)
    for table in benchmark.tables(measured):
        console.print(table)
    print(benchmark.as_json(measured), flush=True)


@app.command()
def isolation(
    seed: Annotated[int, typer.Option(help="Of names, numbers and attacks.")] = 0,
    calls: Annotated[int, typer.Option(help="Attack until so many calls are made.")] = 10_000,
) -> None:
    """Can one client learn anything of another? Attacks by SQL and through the API, and every wall taken away once."""
    # Where Airflow finds plugins.
    sys.path.insert(0, str(CHECKOUT / "plugins"))
    from benchmarks import isolation as benchmark

    hush()
    measured = benchmark.run(seed, calls, say)
    for table in benchmark.tables(measured):
        console.print(table)
    print(benchmark.as_json(measured), flush=True)


@app.command()
def serving(
    seconds: Annotated[float, typer.Option(min=5, help="How long the callers ask.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Of what is asked for.")] = 0,
) -> None:
    """How fast are predictions on request, what does a killed server lose, how soon is a new model seen?

    On an instance of its own that is destroyed afterwards. Ten minutes.
    """
    from benchmarks import serving as benchmark

    hush()
    measured = benchmark.run(seconds, say, seed)
    console.print(benchmark.table(measured))
    print(benchmark.as_json(measured), flush=True)


@app.command()
def watch(
    seed: Annotated[int, typer.Option(help="Of what happens to whom, and when.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Ten weeks of three clients.")] = False,
) -> None:
    """Is what has changed found, and is it quiet otherwise? A year of twenty clients, and troubles to be told of."""
    from benchmarks import watch as benchmark

    hush()
    logging.getLogger("include.foresight").setLevel(logging.CRITICAL)
    measured = benchmark.run(say, seed=seed, plan=benchmark.QUICK if quick else None)
    console.print(benchmark.table(measured))
    print(benchmark.as_json(measured), flush=True)
