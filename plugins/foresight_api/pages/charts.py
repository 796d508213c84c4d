"""Charts as data: what Plotly draws, what a screen reader says of it, and the table behind it.

Colours are names of CSS variables ("--served"): the page's script puts in those of the theme.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foresight_api.pages import wording
from include.foresight.dossier import Dossier

SERVED, SIMPLE, MARK, SECOND = "--served", "--simple", "--mark", "--second"


@dataclass(frozen=True)
class Chart:
    """`summary`: one sentence that says what the picture shows. `columns`, `rows`: the table behind it, as texts.
    `traces`, `layout`: Plotly's."""

    name: str
    title: str
    summary: str
    traces: Sequence[dict[str, Any]]
    layout: dict[str, Any]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str | None = None
    height: int = 300

    @property
    def figure(self) -> dict[str, Any]:
        return {"data": list(self.traces), "layout": self.layout, "height": self.height}


@dataclass(frozen=True)
class Missing:
    """Where a chart would be: why there is none."""

    name: str
    title: str
    why: str


def axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title}, **more}


def time_axis(moments: Sequence[datetime.datetime]) -> dict[str, Any]:
    """Moments of the data; of a single one with a day on either side."""
    made = axis("moment of the data (UTC)", type="date")
    if len(set(moments)) == 1:
        day = datetime.timedelta(days=1)
        made["range"] = [(moments[0] - day).isoformat(), (moments[0] + day).isoformat()]
    return made


def error_over_time(dossier: Dossier) -> Chart | Missing:
    """What served was off by, night by night, beside the simple rung, with what was promoted marked."""
    title = "Error, night by night"
    nights, spec = dossier.judged, dossier.spec
    if not nights:
        return Missing("errors", title, "No night has judged a model of this client yet.")
    moments = [night.as_of.isoformat() for night in nights]
    served = [wording.drawn(spec, night.served) for night in nights]
    simple = [wording.drawn(spec, night.simple) for night in nights]
    changes = [one for one in dossier.promotions if one["version"] > 0]
    by_moment = {night.as_of: night for night in nights}
    marks = [
        (one["moment"], wording.drawn(spec, by_moment[one["moment"]].served), one)
        for one in reversed(changes)
        if one["moment"] in by_moment
    ]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "what serves",
            "x": moments,
            "y": served,
            "line": {"color": SERVED, "width": 2},
            "marker": {"color": SERVED, "size": 5},
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"simple rung ({spec.simple_name})",
            "x": moments,
            "y": simple,
            "line": {"color": SIMPLE, "width": 2, "dash": "dash"},
        },
    ]
    if marks:
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "something else began to serve",
                "x": [moment.isoformat() for moment, _, _ in marks],
                "y": [value for _, value, _ in marks],
                "text": [f"version {one['version']}: {wording.rung(one['to_rung'])}" for _, _, one in marks],
                "marker": {
                    "color": MARK,
                    "size": 12,
                    "symbol": "diamond",
                    "line": {"color": "--background", "width": 1},
                },
            }
        )
    marked = {moment: one for moment, _, one in marks}
    last = nights[-1]
    return Chart(
        name="errors",
        title=title,
        summary=(
            f"{wording.counted(len(nights), 'night')} judged, from {wording.moment(nights[0].as_of)} to "
            f"{wording.moment(last.as_of)}. Last: what serves {wording.error(spec, last.served)}, {spec.simple_name} {wording.error(spec, last.simple)}; "
            f"{wording.about_error(spec)}."
        ),
        traces=traces,
        layout={
            "xaxis": time_axis([night.as_of for night in nights]),
            "yaxis": axis(wording.error_axis(spec), rangemode="tozero"),
        },
        columns=("Moment (UTC)", "What serves", "Simple rung", "New model", "Rows", "Decision"),
        rows=[
            (
                wording.moment(night.as_of),
                wording.error(spec, night.served),
                wording.error(spec, night.simple),
                wording.error(spec, night.challenger),
                wording.number(night.rows),
                wording.decision(night.decision)
                + (f" (version {marked[night.as_of]['version']})" if night.as_of in marked else ""),
            )
            for night in reversed(nights)
        ],
        note="Each night's new model, what serves and the simple rung are judged on the same later rows.",
    )
