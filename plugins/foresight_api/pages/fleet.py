"""The list of models: what its template shows of each line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foresight_api.pages import sparkline, wording
from foresight_api.pages.sparkline import Sparkline
from include.foresight import model_specs
from include.foresight.overview import NIGHTS, Line

# A change of less than this is none.
STEADY = 0.02

ORDER = {"unhealthy": 0, "degraded": 1, None: 2, "healthy": 3}


@dataclass(frozen=True)
class Row:
    """A line in the words of the page. `sort`: what its columns are sorted by, empty where nothing is known."""

    line: Line
    title: str
    error: str
    simple: str
    gain: str
    side: str
    trend: str
    way: str
    trend_label: str
    spark: Sparkline | None
    drift: str
    sort: Mapping[str, Any]

    @property
    def search(self) -> str:
        return f"{self.line.name} {self.line.slug}".lower()


def view(lines: Sequence[Line], asked: Mapping[str, str]) -> dict[str, Any]:
    """What the template takes. `asked`: the filters, as they were typed."""
    rows = [row(line) for line in lines if fits(line, asked)]
    rows.sort(key=lambda one: (ORDER[one.line.status], one.line.slug, one.line.model))
    states = [line.status for line in lines]
    return {
        "rows": rows,
        "asked": asked,
        "models": [model_specs.read(name) for name in model_specs.names()],
        "rungs": ["boosted", "linear", "recent"],
        "statuses": wording.STATUSES,
        "nights": NIGHTS,
        "counts": {
            "clients": len({line.client_id for line in lines}),
            "models": len(lines),
            "unseen": states.count(None),
            **{status: states.count(status) for status in wording.STATUSES},
        },
    }


def fits(line: Line, asked: Mapping[str, str]) -> bool:
    text = f"{line.name} {line.slug}".lower()
    if not all(word in text for word in asked["q"].lower().split()):
        return False
    own = {"model": line.model, "rung": line.rung, "status": line.status}
    return all(not asked[name] or asked[name] == value for name, value in own.items())


def row(line: Line) -> Row:
    spec = model_specs.read(line.model)
    served = [one.served for one in line.judged]
    gain, trend = line.gain, line.trend
    return Row(
        line=line,
        title=spec.title,
        error=wording.error(spec, line.error),
        simple=wording.error(spec, line.simple),
        gain=wording.share(None if gain is None else -gain),
        side="" if gain is None or abs(gain) < 0.005 else "better" if gain > 0 else "worse",
        trend=trend_said(trend),
        way="" if trend is None or abs(trend) < STEADY else "better" if trend < 0 else "worse",
        trend_label=(
            f"Error of what serves over {len(served)} judgements: from {wording.error(spec, served[0])} to "
            f"{wording.error(spec, served[-1])}"
            if served
            else ""
        ),
        spark=sparkline.draw(served, [one.simple for one in line.judged]),
        drift=drift_said(line),
        sort={
            "error": blank(line.error),
            "simple": blank(line.simple),
            "gain": blank(None if gain is None else -gain),
            "trend": blank(trend),
            "drift": "" if line.warming_up is None else -1 if line.warming_up else line.drifting,
            "status": ORDER[line.status],
        },
    )


def trend_said(trend: float | None) -> str:
    if trend is None:
        return wording.NOTHING
    if abs(trend) < STEADY:
        return "steady"
    return wording.share(trend)


def drift_said(line: Line) -> str:
    if line.warming_up is None:
        return wording.NOTHING
    if line.warming_up:
        return "warming up"
    return wording.counted(line.drifting, "column") if line.drifting else "none"


def blank(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
