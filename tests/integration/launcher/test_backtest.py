"""`./foresight backtest` and `bench honesty` on a small folder of exports."""

from __future__ import annotations

import csv
import datetime
import json
import logging
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks import honesty
from launcher import cli
from launcher.errors import LauncherError
from tests.support.signal import Client

pytestmark = pytest.mark.own_engine

ROWS = 260
PROJECT = "signals"


@pytest.fixture(autouse=True, scope="module")
def heard() -> Iterator[None]:
    """The command hushes its own process; here that is the tests'."""
    log = logging.getLogger("include.foresight")
    before = log.level
    yield
    log.setLevel(before)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One project with points, another whose issues have none."""
    folder = tmp_path_factory.mktemp("exports")
    client = Client(11, datetime.datetime(2025, 1, 6), per_week=ROWS)
    (folder / "story_points").mkdir()
    with (folder / "story_points" / f"{PROJECT}.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["issuekey", "title", "description", "storypoint"])
        for n, issue in enumerate(client.week()):
            rows.writerow([f"S-{n}", issue.summary, issue.description, issue.points])
    (folder / "agile_cycle").mkdir()
    (folder / "agile_cycle" / "tasks.csv").write_text(
        "id,project,created_date,finished_date\nT-1,silent,2025-01-06,2025-01-09\n"
    )
    return folder


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


class Page(HTMLParser):
    """What a page has: its tags with their attributes, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_backtest_writes_a_page_that_needs_no_network(exports: Path, tmp_path: Path):
    out = tmp_path / "report.html"
    done = invoke("backtest", "--data", exports, "--client", PROJECT, "--out", out)
    assert done.exit_code == 0, done.output
    assert re.search(rf"{ROWS} answers in 3 nights", done.stdout)
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    assert "Answers were off by" in text and "default settings, always in service" in text
    figures, captions = page.all("figure"), page.all("figcaption")
    assert len(figures) == len(captions) >= 2
    assert len([one for one in page.all("div") if one.get("role") == "img" and one.get("aria-label")]) == len(figures)
    assert page.all("html") == [{"lang": "en"}] and page.all("table") and page.all("h1")
    fetched = [
        one for tag in ("script", "img", "link", "iframe") for one in page.all(tag) if one.get("src") or one.get("href")
    ]
    assert fetched == []
    # plotly itself, once, with the plots.
    assert text.count("plotly.js v") == 1 and text.count("Plotly.newPlot(") >= 2


def test_what_cannot_be_replayed_is_named(exports: Path, tmp_path: Path):
    for words, reason in (
        (("--client", "nobody"), "has no client 'nobody'"),
        (("--client", "Project silent"), "no row with a label"),
        (("--client", PROJECT, "--model", "weather"), "no model 'weather'"),
        (("--client", PROJECT, "--out", tmp_path / "missing" / "x.html"), "no folder"),
    ):
        done = invoke("backtest", "--data", exports, *words)
        assert done.exit_code != 0 and isinstance(done.exception, LauncherError)
        assert re.search(reason, str(done.exception)), done.exception


def test_the_benchmark_of_honesty_ends_with_its_keys(exports: Path):
    done = invoke("bench", "honesty", "--data", exports, "--quick")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    line = {"projects", "never_worse", "mean_mae", "coverage_ok", "model_share"}
    assert set(told) == line | set(honesty.OF_GENERATED) | {"capped"} and set(told["capped"]) == line
    assert told["projects"] == told["capped"]["projects"] == 1 and told["mean_mae"] > 0
    assert PROJECT in done.stdout and "The document's cap and window" in done.stdout
