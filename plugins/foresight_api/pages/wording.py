"""How numbers, moments and states are written for people."""

from __future__ import annotations

import datetime
import math
from typing import Any

from include.foresight.model_specs import ModelSpec

# What a cell says where there is nothing to say.
NOTHING = "–"

RUNGS = {
    "boosted": "boosted trees",
    "linear": "linear model",
    "recent": "simple rung",
    "prior": "prior",
}
DECISIONS = {"promote": "promoted", "keep": "kept", "demote": "simple rung took over"}
STATUSES = ("unhealthy", "degraded", "healthy")

DAY = 86400.0


def error(spec: ModelSpec, value: float | None) -> str:
    """An error of the gate's (less is better) in the words of the model's measure."""
    if value is None:
        return NOTHING
    match spec.measure:
        case "mae":
            return f"{value:.2f} {spec.unit}"
        case "median_absolute_log_error":
            return f"×{math.exp(value):.2f}"
        case _:
            return f"{value:.1%} of pairs"


def drawn(spec: ModelSpec, value: float | None) -> float | None:
    """The same as a number for a chart's axis."""
    if value is None:
        return None
    match spec.measure:
        case "mae":
            return round(value, 4)
        case "median_absolute_log_error":
            return round(math.exp(value), 4)
        case _:
            return round(100 * value, 3)


def error_axis(spec: ModelSpec) -> str:
    """What such an error is, for an axis and for the head of a column."""
    match spec.measure:
        case "mae":
            return f"mean error ({spec.unit})"
        case "median_absolute_log_error":
            return "typical factor of the error"
        case _:
            return "pairs in the wrong order (%)"


def about_error(spec: ModelSpec) -> str:
    match spec.measure:
        case "mae":
            return f"how many {spec.unit} an answer is off by on average"
        case "median_absolute_log_error":
            return "by which factor the typical answer is off (×1 would be exact)"
        case _:
            return "of pairs of one row that needed rework and one that did not, the share put in the wrong order"


def share(value: float | None) -> str:
    """A change, with its sign."""
    if value is None:
        return NOTHING
    return "equal" if round(value, 2) == 0 else f"{value:+.0%}".replace("-", "−")


def counted(count: int, what: str) -> str:
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


def percent(value: float | None, digits: int = 0) -> str:
    return NOTHING if value is None else f"{value:.{digits}%}".replace("-", "−")


def number(value: float | None) -> str:
    """Short, with as many digits as tell something."""
    if value is None:
        return NOTHING
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        return f"{int(value):,}".replace(",", "\u202f")
    return f"{value:.4g}".replace("-", "−")


def seconds(value: float | None) -> str:
    if value is None:
        return NOTHING
    if value < 120:
        return f"{value:.1f} s"
    if value < 2 * 3600:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def size(value: float) -> str:
    """Bytes."""
    for unit in ("bytes", "kB", "MB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"


def moment(value: datetime.datetime | None) -> str:
    """In UTC, to the minute."""
    if value is None:
        return NOTHING
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC)
    return f"{value:%Y-%m-%d %H:%M}"


def plain(value: Any) -> str:
    """A setting or another value of a JSON column."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    return str(value)


def rung(name: str | None) -> str:
    return "nothing yet" if name is None else RUNGS.get(name, name)


def decision(name: str) -> str:
    return DECISIONS.get(name, name)
