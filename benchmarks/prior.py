"""How heavy may the prior be? The simple rung of complexity, on generated clients of four kinds, with several weights.

Clients whose level stays, wanders, jumps, or comes and goes; points of two common scales with heavy tails. Per weight:
the share of clients where it errs more than some plain median by more than 1 % and two standard errors, and the mean
errors beside the best plain median, of all rows and of the first twenty. complexity.toml's `prior_labels` is chosen so.

    python -m benchmarks.prior --seeds 21 22 --clients 200
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence

import numpy as np

from include.foresight import model_specs

KINDS = ("still", "walk", "jumps", "comes and goes")
ROWS = (200, 350, 500, 700)
SCALES = (
    np.array([1, 2, 3, 5, 8, 13, 21, 34, 55, 100.0]),
    np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24, 40.0]),
)
WEIGHTS = (0, 1, 2, 3, 5)
WIDTHS = (20, 50, None)


def labels(chance: np.random.Generator, kind: str, count: int) -> np.ndarray:
    """One client's points, in the order in which they became known."""
    spread, level = 0.8 * chance.uniform(0.5, 1.1), math.log(chance.choice([1.5, 3, 5, 8]))
    moves = np.zeros(count)
    if kind == "walk":
        moves = np.cumsum(chance.normal(0, chance.choice([0.02, 0.05]), count))
    elif kind == "jumps":
        moves = np.repeat(chance.normal(0, 0.6, count // 60 + 1), 60)[:count]
    elif kind == "comes and goes":
        keeps, last = chance.choice([0.9, 0.97, 0.99]), 0.0
        for n, shock in enumerate(chance.normal(0, 0.6 * math.sqrt(1 - keeps * keeps), count)):
            moves[n] = last = keeps * last + shock
    wished = level + moves + spread * chance.standard_t(4, count)
    scale = SCALES[int(chance.random() > 0.7)]
    return scale[np.abs(wished[:, None] - np.log(scale)).argmin(axis=1)]


def forecasts(points: np.ndarray, prior: float) -> np.ndarray:
    """The plain medians before each label, a column per width."""
    return np.array(
        [
            [np.median(points[0 if width is None else max(0, n - width) : n]) if n else prior for width in WIDTHS]
            for n in range(len(points))
        ]
    )


def simple(points: np.ndarray, plain: np.ndarray, weight: float, spec: model_specs.ModelSpec) -> np.ndarray:
    """What sql/features/complexity.sql answers: the one that was best lately, drawn to the prior at first."""
    window, enough = int(spec.settings["compared_labels"]), spec.settings["enough_labels"]
    total = np.vstack([np.zeros(len(WIDTHS)), np.cumsum(np.abs(plain - points[:, None]), axis=0)])
    given = np.empty(len(points))
    for n in range(len(points)):
        off = total[n] - total[max(0, n - window)]
        best = plain[n, 2 if off[2] <= min(off[0], off[1]) else 1 if off[1] <= off[0] else 0]
        if n < enough:
            pull = weight * (1 - n / enough)
            logs = n * math.log1p(best) + pull * math.log1p(spec.prior)
            best = math.expm1(logs / (n + pull)) if n + pull else spec.prior
        given[n] = best
    return given


def measure(seeds: Sequence[int], clients: int) -> dict[str, dict[str, float]]:
    spec = model_specs.read("complexity")
    found: dict[int, list[tuple[bool, float, float]]] = {weight: [] for weight in WEIGHTS}
    for seed in seeds:
        chance = np.random.default_rng(seed)
        for _ in range(clients):
            for kind in KINDS:
                points = labels(chance, kind, int(chance.choice(ROWS)))
                plain = forecasts(points, spec.prior)
                theirs = np.abs(plain - points[:, None])
                for weight in WEIGHTS:
                    mine = np.abs(simple(points, plain, weight, spec) - points)
                    luck = 2 * (mine[:, None] - theirs).std(axis=0, ddof=1) / math.sqrt(len(points))
                    worse = mine.mean() > theirs.mean(axis=0) + np.maximum(0.01 * theirs.mean(axis=0), luck)
                    first = mine[:20].mean() / theirs[:20].mean(axis=0).min()
                    found[weight].append((bool(worse.any()), mine.mean() / theirs.mean(axis=0).min(), first))
    return {
        str(weight): {
            name: round(float(np.mean([one[place] for one in all_])), 4)
            for place, name in enumerate(("worse", "error", "first_twenty"))
        }
        for weight, all_ in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[21, 22])
    parser.add_argument("--clients", type=int, default=200)
    options = parser.parse_args()
    print(json.dumps(measure(options.seeds, options.clients)))


if __name__ == "__main__":
    main()
