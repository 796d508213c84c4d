"""The report of a replay: one HTML page that needs no network, for people who decide whether to trust the answers.

Every plot has a caption and a description in words; what it shows stands in a table below as well.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from include.foresight import hindsight, model_specs
from include.foresight.model_specs import ModelSpec
from include.foresight.replay import MODELS, Answer, Replayed

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# A line of the plots is the mean over so many rows up to a moment.
TRAILING = 100
LEAST_TRAILING = 20
BINS = 10

# Okabe and Ito: told apart with every kind of colour vision; lines differ in dash as well.
BLUE, ORANGE, GREEN, RED, GREY, PALE = "#0072B2", "#D55E00", "#00795a", "#B3003C", "#666666", "#B0B0B0"

STYLE = """
:root { color-scheme: light; }
body {
    font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
    max-width: 62rem; margin: 0 auto; padding: 1rem;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
.facts { color: #444; margin: 0 0 1rem; }
.summary { background: #f2f6fa; border-left: 4px solid #0072B2; padding: .6rem 1rem .6rem 2rem; margin: 0; }
.summary li { margin: .3rem 0; }
figure { margin: 0 0 1rem; }
figcaption { color: #333; max-width: 50rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
caption { text-align: left; color: #333; padding: .3rem 0; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th { background: #f2f2f2; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
th.words, td.words { text-align: left; min-width: 16rem; }
"""


@dataclass(frozen=True)
class Part:
    """A plot with what it shows in words: `caption` for everybody, `description` for who cannot see it."""

    title: str
    figure: Figure
    caption: str
    description: str


def page(replayed: Replayed, name: str) -> str:
    """The whole page. A history without answers is told as such."""
    spec = model_specs.read(replayed.model)
    title = f"{name}: {spec.title.lower()}, replayed"
    body = [f"<h1>{html.escape(title)}</h1>"]
    if replayed.answers:
        body += [_facts(replayed), _summary(replayed, spec)]
        body += [_shown(part, first=number == 0) for number, part in enumerate(parts(replayed, spec))]
    else:
        body.append("<p>No row of this history has a label, so there is nothing to compare.</p>")
    body += [_promotions(replayed, spec), _nights(replayed, spec)]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{html.escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{''.join(body)}</main>\n</body>\n</html>\n"
    )


def _facts(replayed: Replayed) -> str:
    first, last = replayed.answers[0].moment, replayed.answers[-1].moment
    return (
        f'<p class="facts">{len(replayed.answers):,} rows from {first:%d %B %Y} to {last:%d %B %Y}, lived through in '
        f"{len(replayed.steps)} nights. Every answer uses only what was known before it was asked for.</p>"
    )


# --- In words


def _summary(replayed: Replayed, spec: ModelSpec) -> str:
    lines = [*_errors_in_words(replayed, spec), *_coverage_in_words(replayed.answers), _promotions_in_words(replayed)]
    return f'<ul class="summary">{"".join(f"<li>{line}</li>" for line in lines)}</ul>'


def _errors_in_words(replayed: Replayed, spec: ModelSpec) -> list[str]:
    answers, share = replayed.answers, hindsight.model_share(replayed.answers)
    by_whom = (
        f"A trained model gave {share:.0%} of the answers, {spec.simple_name} the others."
        if share
        else f"No trained model was proved better, so {spec.simple_name} gave every answer."
    )
    if spec.task == "classification":
        found = hindsight.ranking(answers)
        if found["auc"] is None:
            return [by_whom, "All labels are of one class, so no order can be judged."]
        return [
            f"Of a good and a bad row the bad one was told to be riskier in <strong>{found['auc']:.1%}</strong> of all "
            f"pairs; by {spec.simple_name} it would have been in {found['simple_auc']:.1%}.",
            by_whom,
        ]
    unit, divisor = _unit(spec)
    served, simple = (_mean_error(answers, which) / divisor for which in ("served", "simple"))
    change = f"{abs(1 - served / simple):.1%} {'less' if served <= simple else 'more'} than" if simple else "beside"
    line = (
        f"Answers were off by <strong>{served:.2f} {unit}</strong> on average, {change} those of {spec.simple_name} "
        f"({simple:.2f})."
        if abs(served - simple) > 1e-9
        else f"Answers were off by <strong>{served:.2f} {unit}</strong> on average, as those of {spec.simple_name}."
    )
    lines = [line, by_whom]
    trained = [one for one in answers if one.library is not None]
    if trained:
        library, same = (_mean_error(trained, which) / divisor for which in ("library", "served"))
        lines.append(
            f"The document's algorithm with default settings, always in service, would have been off by {library:.2f} "
            f"{unit} where {same:.2f} were served."
        )
    return lines


def _coverage_in_words(answers: Sequence[Answer]) -> list[str]:
    lines = []
    for share in (80, 50):
        found = hindsight.coverage(answers, share)
        if found is not None:
            lines.append(
                f"The {share} % range held {found.share:.1%} of the {found.rows:,} labels that it was told for."
            )
    return lines


def _promotions_in_words(replayed: Replayed) -> str:
    found = hindsight.promotions(replayed)
    if not found:
        return "The gate let no new model into service."
    wrong = sum(one.false for one in found)
    times = "once" if len(found) == 1 else f"{len(found)} times"
    told = "it was" if len(found) == 1 else "all were"
    if not wrong:
        return (
            f"A new model was put into service {times}; {told} better than the simple answer afterwards, or not asked."
        )
    return (
        f"A new model was put into service {times}; {wrong} of these did no better than the simple answer afterwards."
    )


def _unit(spec: ModelSpec) -> tuple[str, float]:
    return ("days", 86_400.0) if spec.unit == "seconds" else (spec.unit, 1.0)


def _error_in_words(spec: ModelSpec) -> str:
    return "squared errors of the probability" if spec.task == "classification" else f"in {_unit(spec)[0]}"


def _mean_error(answers: Sequence[Answer], which: str) -> float:
    return float(np.mean([abs(one.label - getattr(one, which)) for one in answers]))


# --- Plots


def parts(replayed: Replayed, spec: ModelSpec) -> list[Part]:
    answers = replayed.answers
    found = [_errors(replayed, spec)]
    if any(one.intervals for one in answers):
        found.append(_coverage(answers))
    found.append(_reliability(answers) if spec.task == "classification" else _against_truth(answers, spec))
    return found


def _figure(x: str, y: str) -> Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        height=400,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        font={"family": "system-ui, sans-serif", "size": 14, "color": "#1a1a1a"},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        xaxis_title=x,
        yaxis_title=y,
        hovermode="x unified",
    )
    return figure


def _line(figure: Figure, name: str, x: Sequence[Any], y: Sequence[float], colour: str, dash: str = "solid") -> None:
    # What others may lie on is wider than they are.
    line = {"color": colour, "dash": dash, "width": 6 if colour == PALE else 2}
    figure.add_scatter(x=list(x), y=list(y), mode="lines", name=name, line=line)


def trailing(values: Sequence[float | None]) -> list[float | None]:
    """The mean of the last TRAILING values that there are; None while there are too few."""
    given = np.array([np.nan if value is None else value for value in values], dtype=float)
    there = ~np.isnan(given)
    sums, counts = np.cumsum(np.where(there, given, 0)), np.cumsum(there)
    sums[TRAILING:] -= sums[:-TRAILING].copy()
    counts[TRAILING:] -= counts[:-TRAILING].copy()
    return [
        float(total / count) if count >= LEAST_TRAILING else None for total, count in zip(sums, counts, strict=True)
    ]


def _errors(replayed: Replayed, spec: ModelSpec) -> Part:
    answers = replayed.answers
    _, divisor = _unit(spec)
    what = _error_in_words(spec)
    by_label = hindsight.errors_of(replayed.model)

    def off(one: Answer, answer: float) -> float:
        return by_label(one, answer) / divisor

    figure = _figure("", f"mean error, {what}" if spec.task != "classification" else f"mean of {what}")
    times = [one.moment for one in answers]
    series: list[tuple[str, Callable[[Answer], float | None], str, str]] = [
        (spec.simple_name, lambda one: one.simple, PALE, "solid"),
        ("served", lambda one: one.served, BLUE, "solid"),
    ]
    if any(one.library is not None for one in answers):
        series.append(("default settings", lambda one: one.library, ORANGE, "dash"))
    for name, answer, colour, dash in series:
        values = [None if answer(one) is None else off(one, answer(one)) for one in answers]
        _line(figure, name, times, trailing(values), colour, dash)
    found = hindsight.promotions(replayed)
    for one in found:
        colour, sign = (RED, "false promotion") if one.false else (GREEN, "promotion")
        figure.add_vline(x=one.at, line={"color": colour, "width": 2, "dash": "dash"})
        figure.add_annotation(
            x=one.at, y=1, yref="paper", yanchor="top", xanchor="left", text=sign, showarrow=False, textangle=90,
            font={"color": colour, "size": 12},
        )  # fmt: skip
    return Part(
        "Error of what was served",
        figure,
        f"Mean error ({what}) over the last {TRAILING} rows: what was served, {spec.simple_name} on the same rows"
        f"{', and the algorithm of the document with default settings' if len(series) > 2 else ''}. Lower is better. "
        "Vertical lines are new models in service: green ones erred less than the simple answer afterwards, red ones "
        "not.",
        f"Lines over time. {_range_in_words(series, answers, off)} "
        f"{len(found)} promotions, {sum(one.false for one in found)} of them false.",
    )


def _range_in_words(series: Sequence[Any], answers: Sequence[Answer], off: Callable[[Answer, float], float]) -> str:
    told = []
    for name, answer, *_ in series:
        values = [off(one, answer(one)) for one in answers if answer(one) is not None]
        told.append(f"{name}: {np.mean(values):.3g} on average")
    return "; ".join(told) + "."


def _coverage(answers: Sequence[Answer]) -> Part:
    figure = _figure("", "share of labels held")
    told = []
    for share, colour in ((80, BLUE), (50, ORANGE)):
        rows = [one for one in answers if share in one.intervals]
        if not rows:
            continue
        held = [hindsight.inside(one.label, *one.intervals[share]) for one in rows]
        _line(figure, f"{share} % range", [one.moment for one in rows], trailing(held), colour)
        figure.add_hline(y=share / 100, line={"color": colour, "dash": "dot", "width": 1.5})
        told.append(f"the {share} % range held {np.mean(held):.1%}")
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return Part(
        "Do the ranges hold?",
        figure,
        f"Share of the last {TRAILING} labels within the range that was told with the answer; a label on the border "
        "counts half. Dotted: what was promised.",
        f"Two lines over time. Overall {' and '.join(told)} of the labels.",
    )


def _against_truth(answers: Sequence[Answer], spec: ModelSpec) -> Part:
    unit, divisor = _unit(spec)
    figure = _figure(f"answer ({unit})", f"truth ({unit})")
    served = np.array([one.served for one in answers]) / divisor
    truth = np.array([one.label for one in answers]) / divisor
    centres, middle, low, high = binned(served, truth)
    places, counts = np.unique(np.column_stack([served.round(2), truth.round(2)]), axis=0, return_counts=True)
    figure.add_scatter(
        x=places[:, 0],
        y=places[:, 1],
        mode="markers",
        name="rows",
        text=[f"{count} rows" for count in counts],
        marker={"color": PALE, "size": 4 + 16 * np.sqrt((counts - 1) / max(1, counts.max() - 1)), "opacity": 0.6},
    )
    figure.add_scatter(
        x=centres,
        y=middle,
        mode="lines+markers",
        name="median of the truth, and the middle 80 %",
        line={"color": BLUE, "width": 2},
        marker={"size": 8},
        error_y={"array": high - middle, "arrayminus": middle - low, "color": BLUE},
    )
    top = float(np.quantile(truth, 0.99)) * 1.1 if len(truth) else 1.0
    figure.add_scatter(
        x=[0, top], y=[0, top], mode="lines", name="answer = truth", line={"color": GREEN, "dash": "dot"}
    )
    figure.update_layout(hovermode="closest")
    figure.update_yaxes(range=[0, top], rangemode="tozero")
    pairs = "; ".join(f"{a:.3g}: {b:.3g}" for a, b in zip(centres, middle, strict=True))
    return Part(
        "Answers beside the truth",
        figure,
        "Grey: rows, a larger point stands for more of them. The blue line is the median of what became true, among "
        "answers of about the same size; on the dotted line the answer is right. The highest hundredth of the truth is "
        "left out of the picture.",
        f"Points with a line. Median truth by answer: {pairs}.",
    )


def _reliability(answers: Sequence[Answer]) -> Part:
    figure = _figure("risk that was told", "share that came true")
    told = []
    for name, colour, values in (
        ("served", BLUE, np.array([one.served for one in answers])),
        ("simple answer", GREY, np.array([one.simple for one in answers])),
    ):
        truth = np.array([one.label for one in answers])
        groups = _groups(values)
        x = [float(values[group].mean()) for group in groups]
        y = [float(truth[group].mean()) for group in groups]
        errors = [float(1.96 * np.sqrt(max(b * (1 - b), 1e-9) / len(g))) for b, g in zip(y, groups, strict=True)]
        figure.add_scatter(
            x=x, y=y, mode="lines+markers", name=name, line={"color": colour}, marker={"size": 8},
            error_y={"array": errors, "color": colour},
        )  # fmt: skip
        if name == "served":
            told = [f"{a:.0%}: {b:.0%}" for a, b in zip(x, y, strict=True)]
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="told = true", line={"color": GREEN, "dash": "dot"})
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    return Part(
        "Is the risk that was told the risk that came true?",
        figure,
        "Rows in ten groups of about the same risk. On the dotted line as many came true as were told. Bars: 95 %.",
        f"Two lines. Told and true, by group: {'; '.join(told)}.",
    )


def binned(answers: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """By groups of about the same answer: the answer, the truth's median, and its central 80 %."""
    groups = _groups(answers)
    return (
        np.array([np.median(answers[group]) for group in groups]),
        *(np.array([np.quantile(truth[group], share) for group in groups]) for share in (0.5, 0.1, 0.9)),
    )


def _groups(values: np.ndarray) -> list[np.ndarray]:
    """Places of the values in up to BINS groups of about the same size; equal values are in one group."""
    values = values.round(6)  # models answer in float4: 1.9999999 and 2 are one
    cuts = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(cuts, values, side="left")
    return [np.flatnonzero(bins == each) for each in np.unique(bins)]


def _shown(part: Part, *, first: bool) -> str:
    # With the library's JavaScript in the page, once: it has to work without a network.
    plot = part.figure.to_html(
        full_html=False, include_plotlyjs=first, config={"displayModeBar": False, "responsive": True}
    )
    return (
        f"<h2>{html.escape(part.title)}</h2>\n<figure>\n"
        f'<div role="img" aria-label="{html.escape(part.description)}">{plot}</div>\n'
        f"<figcaption>{html.escape(part.caption)}</figcaption>\n</figure>\n"
    )


# --- Tables


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = ()) -> str:
    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' scope=col' if tag == 'th' else ''}{' class=words' if place in words else ''}>"
            f"{html.escape(value)}</{tag}>"
            for place, value in enumerate(values)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(caption)}"><table>'
        f"<caption>{html.escape(caption)}</caption>"
        f"<thead><tr>{cells('th', heads)}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
    )


def _promotions(replayed: Replayed, spec: ModelSpec) -> str:
    found = hindsight.promotions(replayed)
    if not found:
        return ""
    unit, divisor = _unit(spec)
    rows = [
        (
            f"{one.at:%Y-%m-%d}",
            str(one.version),
            str(one.rows),
            "-" if one.gain is None else f"{one.gain / divisor:+.3f}",
            "not asked" if one.gain is None else "no" if one.false else "yes",
        )
        for one in found
    ]
    heads = ("in service from", "version", "rows answered", f"errs less by ({unit})", "better than the simple answer")
    return "<h2>Promotions</h2>\n" + _table("Every new model in service, and how it did until the next.", heads, rows)


def _nights(replayed: Replayed, spec: ModelSpec) -> str:
    unit, divisor = _unit(spec)
    off = hindsight.errors_of(replayed.model)
    by_version: dict[int, list[Answer]] = {}
    for one in replayed.answers:
        by_version.setdefault(one.version, []).append(one)
    following = [*(step.as_of for step in replayed.steps[1:]), None]
    rows = []
    for step, until in zip(replayed.steps, following, strict=True):
        asked = [
            one
            for one in by_version.get(step.version, [])
            if one.moment > step.as_of and (not until or one.moment <= until)
        ]
        served, simple = (
            (f"{np.mean([off(one, getattr(one, name)) for one in asked]) / divisor:.3g}" if asked else "-")
            for name in ("served", "simple")
        )
        decided = {"promote": "new model", "keep": "kept", "demote": "simple again"}.get(step.decision or "", "-")
        by = "a model" if step.rung in MODELS else "simple"
        rows.append((f"{step.as_of:%Y-%m-%d}", decided, by, str(len(asked)), served, simple, step.sentence))
    heads = ("night", "decided", "served by", "rows asked after it", "off by", "simple off by", "why")
    caption = f"What every night decided, and what came after it. Errors are {_error_in_words(spec)}."
    return "<h2>Night by night</h2>\n" + _table(caption, heads, rows, (6,))
