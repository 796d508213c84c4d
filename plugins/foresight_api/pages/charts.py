"""Charts as data: what Plotly draws, what a screen reader says of it, and the table behind it.

Colours are names of CSS variables ("--served"): the page's script puts in those of the theme. Plotly reads markup in
labels, so names of a client's are escaped for it.
"""

from __future__ import annotations

import datetime
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foresight_api.pages import wording
from include.foresight import track_record
from include.foresight.dossier import Dossier
from include.foresight.drift import BEFORE_DAYS, LATELY_DAYS, LEAST, Shift
from include.foresight.estimates import Estimate
from include.foresight.track_record import Outcome

SERVED, SIMPLE, MARK = "--served", "--simple", "--mark"

# As many as can be told apart.
DOTS, BARS = 400, 12


@dataclass(frozen=True)
class Record:
    """What came of `told` first answers. `away`: the replica, which knows, does not answer. `estimates`: what was
    expected of them before that."""

    told: int
    outcomes: Sequence[Outcome]
    away: bool = False
    estimates: Sequence[Estimate] = ()


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


def time_axis(
    moments: Sequence[datetime.datetime], title: str = "moment of the data (UTC)", *, monthly: bool = False
) -> dict[str, Any]:
    """Of a single moment, which has no span of its own, three days or months on either side, each with a tick."""
    made = axis(title, type="date")
    if len(set(moments)) == 1:
        around = datetime.timedelta(days=92 if monthly else 3)
        made["range"] = [(moments[0] - around).isoformat(), (moments[0] + around).isoformat()]
        made |= {"dtick": "M1", "tickformat": "%b %Y"} if monthly else {"dtick": 86_400_000, "tickformat": "%-d %b"}
    return made


def error_over_time(dossier: Dossier) -> Chart | Missing:
    """What served was off by, night by night, beside the simple rung, with what was promoted marked."""
    title = "Error when judged, night by night"
    nights, spec = dossier.judged, dossier.spec
    if not nights:
        return Missing("errors", title, "No night has judged a model of this client yet.")
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
        line("what serves", [night.as_of for night in nights], served, SERVED, mode="lines+markers"),
        line(f"simple rung ({spec.simple_name})", [night.as_of for night in nights], simple, SIMPLE, dash="dash"),
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
                # Open: the point of what serves lies under it.
                "marker": {"color": MARK, "size": 14, "symbol": "diamond-open", "line": {"width": 2}},
            }
        )
    marked = {moment: one for moment, _, one in marks}
    last = nights[-1]
    return Chart(
        name="errors",
        title=title,
        summary=(
            f"{wording.counted(len(nights), 'night')} judged, from {wording.moment(nights[0].as_of)} to "
            f"{wording.moment(last.as_of)}. Last: what serves {wording.error(spec, last.served)}, "
            f"{spec.simple_name} {wording.error(spec, last.simple)}; {wording.about_error(spec)}."
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


FLEET_ONLY = "Only people of the client see what was predicted and what came of it."
AWAY = "The client's replica does not answer, and the outcomes stand there."


def in_service(dossier: Dossier, record: Record | None) -> Chart | Missing:
    """What people were told, month by month, beside what came true; and when something else began to serve."""
    title, spec = "Error in service", dossier.spec
    why = without_record(record)
    if why:
        return Missing("service", title, why)
    found = [one for one in track_record.periods(spec, record.outcomes) if one.served is not None]
    if not found:
        return Missing("service", title, too_few(record))
    starts = [one.start for one in found]
    served = [wording.drawn(spec, one.served) for one in found]
    changes = sorted((one for one in dossier.promotions if one["moment"] >= starts[0]), key=lambda one: one["moment"])
    expected = [one for one in record.estimates if one.error is not None]
    drawn = [wording.drawn(spec, value) for one in found for value in (one.served, one.simple)]
    drawn += [wording.drawn(spec, one.error) for one in expected]
    top = max(value for value in drawn if value is not None)
    traces: list[dict[str, Any]] = [
        line("what was told", starts, served, SERVED, mode="lines+markers"),
        line(
            f"simple rung ({spec.simple_name})",
            starts,
            [wording.drawn(spec, one.simple) for one in found],
            SIMPLE,
            dash="dash",
        ),
    ]
    if expected:
        traces.append(
            line(
                "expected before the truth came",
                [one.start for one in expected],
                [wording.drawn(spec, one.error) for one in expected],
                SERVED,
                dash="dot",
            )
        )
    for place, change in enumerate(changes):
        # A trace, not a shape: it is in the legend, and a pointer on it is told what it is.
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "something else began to serve",
                "legendgroup": "changes",
                "showlegend": place == 0,
                "x": [change["moment"].isoformat()] * 2,
                "y": [0, top],
                "text": f"version {change['version']}: {wording.rung(change['to_rung'])}",
                "line": {"color": MARK, "width": 1.5, "dash": "dot"},
                "marker": {"color": MARK, "size": [0, 11], "symbol": "diamond-open", "line": {"width": 2}},
            }
        )
    last = found[-1]
    return Chart(
        name="service",
        title=title,
        summary=(
            f"{wording.counted(len(record.outcomes), 'outcome')} of {wording.counted(record.told, 'first answer')} so "
            f"far. Last period, {wording.counted(last.rows, 'outcome')}: what was told "
            f"{wording.error(spec, last.served)}, {spec.simple_name} {wording.error(spec, last.simple)}."
            + (
                f" Of the {wording.counted(expected[-1].rows, 'answer')} since {wording.moment(expected[-1].start)}, "
                f"{wording.error(spec, expected[-1].error)} is expected."
                if expected
                else ""
            )
        ),
        traces=traces,
        layout={
            "xaxis": time_axis(starts, "month of the first answer", monthly=True),
            "yaxis": axis(wording.error_axis(spec), rangemode="tozero"),
        },
        columns=("Answers from (UTC)", "Outcomes", "What was told", "Simple rung"),
        rows=[
            (
                wording.moment(one.start),
                wording.number(one.rows),
                wording.error(spec, one.served),
                wording.error(spec, one.simple),
            )
            for one in reversed(found)
        ],
        note=(
            "The first answer that the nights gave about each entity, by the month in which it was given. The newest "
            "months hold what was over soonest, which flatters or wrongs an answer until the rest has come true; what "
            "was expected of a month is from what was known at its end, and stays as it was when the truth comes."
        ),
    )


def predicted_against_actual(dossier: Dossier, record: Record | None) -> Chart | Missing:
    """First answers beside what came true; of a probability how often what was called likely happened."""
    if dossier.spec.task == "classification":
        return calibration(record)
    title = "Predicted against actual"
    why = without_record(record)
    if why:
        return Missing("actual", title, why)
    rows = record.outcomes[-DOTS:]
    if len(rows) < track_record.LEAST:
        return Missing("actual", title, too_few(record))
    spec = dossier.spec
    unit, divisor = ("days", wording.DAY) if spec.unit == "seconds" else (spec.unit, 1.0)
    given = [one.told.value / divisor for one in rows]
    true = [one.label / divisor for one in rows]
    kind = "log" if spec.unit == "seconds" else "linear"
    low = min(value for value in (*given, *true) if value > 0 or kind == "linear")
    high = max(*given, *true)
    within = sum(0.5 <= (one + 1e-9) / (other + 1e-9) <= 2 for one, other in zip(given, true, strict=True)) / len(rows)
    return Chart(
        name="actual",
        title=title,
        summary=(
            f"The last {wording.counted(len(rows), 'outcome')}: {within:.0%} of the first answers were within a factor "
            f"of two of what came true. On the dashed line the two are equal."
        ),
        traces=[
            {
                "type": "scatter",
                "mode": "markers",
                "name": "entities",
                "x": [round(value, 3) for value in given],
                "y": [round(value, 3) for value in true],
                "marker": {"color": SERVED, "size": 6, "opacity": 0.5},
            },
            line("equal", [low, high], [low, high], SIMPLE, dash="dash"),
        ],
        layout={
            "xaxis": axis(f"predicted ({unit})", type=kind),
            "yaxis": axis(f"actual ({unit})", type=kind),
        },
        columns=("Entity", "Asked about (UTC)", f"Predicted ({unit})", f"Actual ({unit})"),
        rows=[
            (
                str(one.told.entity_id),
                wording.moment(one.told.as_of),
                wording.number(one.told.value / divisor),
                wording.number(one.label / divisor),
            )
            for one in reversed(rows)
        ],
    )


def calibration(record: Record | None) -> Chart | Missing:
    title = "Calibration: predicted against actual"
    why = without_record(record)
    if why:
        return Missing("actual", title, why)
    bins = track_record.calibration(record.outcomes)
    if len(bins) < 2:
        return Missing("actual", title, too_few(record))
    off = sum(one.rows * abs(one.given - one.true) for one in bins) / sum(one.rows for one in bins)
    return Chart(
        name="actual",
        title=title,
        summary=(
            f"{wording.counted(len(record.outcomes), 'outcome')} in {len(bins)} bins of as many each: on average "
            f"a probability is off by {100 * off:.0f} points. On the dashed line it would be right."
        ),
        traces=[
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "what was told",
                "x": [round(one.given, 4) for one in bins],
                "y": [round(one.true, 4) for one in bins],
                "text": [wording.counted(one.rows, "outcome") for one in bins],
                "line": {"color": SERVED, "width": 2},
                "marker": {"color": SERVED, "size": 8},
            },
            line("right", [0, 1], [0, 1], SIMPLE, dash="dash"),
        ],
        layout={
            "xaxis": axis("told probability", tickformat=".0%", range=[0, 1]),
            "yaxis": axis("share that needed rework", tickformat=".0%", range=[0, 1]),
        },
        columns=("Told probability (mean)", "Came true", "Outcomes"),
        rows=[(wording.percent(one.given, 1), wording.percent(one.true, 1), wording.number(one.rows)) for one in bins],
    )


def interval_coverage(record: Record | None) -> Chart | Missing:
    """How often the outcome was in each range that was told."""
    title = "Interval coverage"
    why = without_record(record)
    if why:
        return Missing("coverage", title, why)
    found = track_record.coverage(record.outcomes)
    if not found:
        return Missing("coverage", title, "No answer with a range has an outcome yet.")
    worst = max(found, key=lambda one: abs(one.share - one.promised))
    return Chart(
        name="coverage",
        title=title,
        summary=(
            f"Of {wording.counted(worst.rows, 'outcome')}, {worst.share:.0%} were in the {worst.name} that was told, "
            f"where {worst.promised:.0%} ought to be: the one that is furthest off."
        ),
        traces=[
            {
                "type": "bar",
                "name": "in it",
                "x": [one.name for one in found],
                "y": [round(one.share, 4) for one in found],
                "marker": {"color": SERVED},
            },
            {
                "type": "scatter",
                "mode": "markers",
                "name": "promised",
                "x": [one.name for one in found],
                "y": [one.promised for one in found],
                "marker": {"color": MARK, "size": 12, "symbol": "line-ew-open", "line": {"width": 3}},
            },
        ],
        layout={
            "xaxis": axis("range that was told", type="category"),
            "yaxis": axis("share of outcomes in it", tickformat=".0%", range=[0, 1]),
        },
        columns=("Range", "Promised", "In it", "Outcomes"),
        rows=[
            (
                one.name,
                wording.percent(one.promised),
                wording.percent(one.share, 1),
                wording.number(one.rows),
            )
            for one in found
        ],
    )


def drift(found: Sequence[Shift] | None) -> Chart | Missing:
    """How far the mean of each feature, of the answers and of the labels has moved lately, as the last night saw it."""
    title = f"Drift, last {LATELY_DAYS} days"
    if found is None:
        return Missing("drift", title, FLEET_ONLY)
    if not found:
        return Missing(
            "drift",
            title,
            f"Warming up: {LEAST} first answers of the last {LATELY_DAYS} days and as many before are needed.",
        )
    shown = list(reversed(found[:BARS]))
    beyond = [one for one in found if one.beyond_luck]
    return Chart(
        name="drift",
        title=title,
        summary=(
            f"{len(beyond)} of {len(found)} columns have moved by more than luck explains (5 % for all together)"
            + (f"; most of them “{beyond[0].name}”, by {beyond[0].effect:+.2f} standard deviations." if beyond else ".")
        ),
        traces=[
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "y": [html.escape(one.name) for one in shown if one.beyond_luck is moved],
                "x": [round(one.effect, 3) for one in shown if one.beyond_luck is moved],
                "marker": {"color": colour, "pattern": {"shape": "/" if moved else ""}},
            }
            for name, moved, colour in (("beyond luck", True, MARK), ("within luck", False, SIMPLE))
        ],
        layout={
            "xaxis": axis("change of the mean (standard deviations)"),
            "yaxis": axis(
                "", type="category", categoryorder="array", categoryarray=[html.escape(one.name) for one in shown]
            ),
        },
        columns=("Column", "Effect (sd)", "Beyond luck", "Mean before", "Mean lately", "Rows before", "Rows lately"),
        rows=[
            (
                one.name,
                f"{one.effect:+.2f}".replace("-", "−"),
                "yes" if one.beyond_luck else "no",
                wording.number(one.mean_before),
                wording.number(one.mean_recent),
                wording.number(one.rows_before),
                wording.number(one.rows_recent),
            )
            for one in found
        ],
        note=(
            f"First answers of the last {LATELY_DAYS} days beside those of the "
            f"{BEFORE_DAYS - LATELY_DAYS} days before; the {BARS} largest are drawn, the table "
            "has all. “prediction” is the answer itself."
        ),
        height=380,
    )


def without_record(record: Record | None) -> str | None:
    """Why there is no record to draw."""
    if record is None:
        return FLEET_ONLY
    return AWAY if record.away else None


def too_few(record: Record) -> str:
    return (
        f"Too few outcomes yet: {wording.counted(len(record.outcomes), 'outcome')} of "
        f"{wording.counted(record.told, 'first answer')}, and {track_record.LEAST} are needed."
    )


def line(
    name: str, x: Sequence[Any], y: Sequence[Any], colour: str, *, dash: str = "solid", mode: str = "lines"
) -> dict:
    """A line with or without its points. One that goes nowhere, for it has one point, shows that."""
    return {
        "type": "scatter",
        "mode": mode if len(x) > 1 else "lines+markers",
        "name": name,
        "x": [value.isoformat() if isinstance(value, datetime.datetime) else value for value in x],
        "y": list(y),
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"color": colour, "size": 5 if len(x) > 1 else 9},
    }
