"""A line the size of a word: how an error went, beside the simple rung. Drawn on the server, so a list of a thousand
needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, EDGE = 72.0, 20.0, 2.0


@dataclass(frozen=True)
class Sparkline:
    """Points of two SVG polylines; `last` is where the first ends."""

    served: str
    simple: str
    last: tuple[float, float]


def draw(served: Sequence[float | None], simple: Sequence[float | None]) -> Sparkline | None:
    """None where there are fewer than two values to join."""
    known = [value for value in (*served, *simple) if value is not None]
    if sum(value is not None for value in served) < 2:
        return None
    low, high = min(known), max(known)
    span = (high - low) or 1.0

    def points(values: Sequence[float | None]) -> list[tuple[float, float]]:
        step = (WIDTH - 2 * EDGE) / max(1, len(values) - 1)
        return [
            (round(EDGE + place * step, 1), round(HEIGHT - EDGE - (value - low) / span * (HEIGHT - 2 * EDGE), 1))
            for place, value in enumerate(values)
            if value is not None
        ]

    def joined(found: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x:g},{y:g}" for x, y in found)

    own = points(served)
    return Sparkline(joined(own), joined(points(simple)), own[-1])
