"""Is a signal that is there found and served? A client whose points follow from words, with noise and drift.

The client has forty weeks of history; then nights are lived, one a week, through the phases of any night. Before each
the week's issues are there without points; they get them after it. After eight weeks what was served is compared with
what the simple rung would have said and with the best that anybody could say who knows the generator's state.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psycopg

from benchmarks.gate import installation
from include.foresight.rungs import BOOSTED, LINEAR
from tests.support import demo_night, nights
from tests.support.installation import Installation
from tests.support.signal import Client, Issue, row

HISTORY_WEEKS, WEEKS_TO_LEARN, WEEKS_JUDGED = 40, 8, 6
END = datetime.datetime(2026, 1, 5)
MODELS = (BOOSTED, LINEAR)


def live(installed: Installation, client_id: int, seed: int, say: Callable[[str], None]) -> dict[str, float]:
    """Errors of what was served, of the simple rung and of the best, and the share of answers by a model."""
    weeks = HISTORY_WEEKS + WEEKS_TO_LEARN + WEEKS_JUDGED
    client = Client(seed, END - datetime.timedelta(weeks=weeks))
    installed.add_client(client_id, clock="data")
    desk = nights.desk(installed, client_id)
    later: dict[int, Issue] = {}

    def tell(issues: Sequence[Issue], week: int, *, known: bool) -> list[int]:
        rows = [
            desk.issue(type=issue.kind, status="Done" if known else "To Do")
            | row(issue, f"S-{week}-{place}", known=known)
            for place, issue in enumerate(issues)
        ]
        return desk.insert("issues", rows)

    for week in range(HISTORY_WEEKS):
        tell(client.week(), week, known=True)
    errors: dict[str, list[float]] = {"served": [], "simple": [], "best": []}
    rungs: list[str] = []
    with nights.warm(installed) as databases:
        for week in range(HISTORY_WEEKS, weeks):
            issues = client.week()
            later = dict(zip(tell(issues, week, known=False), issues, strict=True))
            installed.catch_up()
            name = f"week {week}"
            night = demo_night.live(databases, f"client_{client_id}", name, models=["complexity"])
            if week >= HISTORY_WEEKS + WEEKS_TO_LEARN:
                found = installed.dicts(
                    installed.primary,
                    "select logged.entity_id, prediction_value, rung, input_features ->> 'simple' as simple"
                    " from ml.prediction_log as logged join ml.nightly_runs as runs using (run_id)"
                    " where logged.client_id = %(client_id)s and runs.dag_run_id = %(name)s",
                    {"client_id": client_id, "name": name},
                )
                assert {one["entity_id"] for one in found} == set(later), f"{name}: {night.errors}"
                for one in found:
                    issue = later[one["entity_id"]]
                    errors["served"].append(abs(issue.points - one["prediction_value"]))
                    errors["simple"].append(abs(issue.points - float(one["simple"])))
                    errors["best"].append(abs(issue.points - issue.best))
                    rungs.append(one["rung"])
            with psycopg.connect(installed.platform) as platform:
                platform.cursor().executemany(
                    "update public.issues set story_points = %s where id = %s",
                    [(issue.points, entity_id) for entity_id, issue in later.items()],
                )
    means = {name: float(np.mean(values)) for name, values in errors.items()}
    means["model_share"] = sum(rung in MODELS for rung in rungs) / len(rungs)
    means["skill"] = (means["simple"] - means["served"]) / (means["simple"] - means["best"])
    say(
        f"  seed {seed}: served {means['served']:.3f}, simple {means['simple']:.3f}, best {means['best']:.3f}: "
        f"{means['skill']:.0%} of the possible gain, {means['model_share']:.0%} by a model"
    )
    return means


def measure(*, seeds: Sequence[int] = (1, 2, 3), say: Callable[[str], None] = print) -> dict[str, Any]:
    """`planted_skill`: the share of the possible gain over the simple rung that was served, and `model_share`: both of
    all seeds together; and each seed's errors."""
    began = time.monotonic()
    with installation() as installed:
        found = {seed: live(installed, 800_000 + seed, seed, say) for seed in seeds}
    total = {name: sum(one[name] for one in found.values()) for name in ("served", "simple", "best")}
    return {
        "planted_skill": (total["simple"] - total["served"]) / (total["simple"] - total["best"]),
        "model_share": sum(one["model_share"] for one in found.values()) / len(found),
        "planted_by_seed": found,
        "skill_seconds": round(time.monotonic() - began),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    print(json.dumps(measure(seeds=tuple(parser.parse_args().seeds))))


if __name__ == "__main__":
    main()
