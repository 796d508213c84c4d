"""Can one client learn anything of another? Every attack of the hostile suite, then every wall taken away once.

The attacks (tests/support/hostile.py) find relations, functions and routes where they are, so nothing has to be listed
here. They go on until enough calls are made, in worlds of other names and numbers each. Then each wall is taken away
alone: every policy, every view's caller, grants, the filters and policies of requests, the cache's key, who may ask.
A wall whose absence no attack sees is a missed mutant: either the attacks are blind there, or it walls off nothing.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from rich.table import Table

from benchmarks.gate import installation
from foresight_api.app import create_app
from foresight_api.service import Service
from tests.support import hostile, hostile_mutants, hostile_world
from tests.support.hostile import Findings

CALLS = 10_000
SHAPES = 40
TIMED = 300


@dataclass
class Measured:
    calls: int
    shapes: set[tuple[str, str, str, str]]
    leaks: list[str]
    mutants: list[tuple[str, bool]]
    timing: tuple[float, float]
    seconds: float
    attempts: Counter = field(default_factory=Counter)


def run(seed: int = 0, calls: int = CALLS, say: Callable[[str], None] = lambda line: None) -> Measured:
    began = time.monotonic()
    found, mutants = Findings(), []
    with installation() as installed, tempfile.TemporaryDirectory() as folder:
        world = hostile_world.make(installed, seed)
        app = create_app(lambda: Service.start(installed.app, Path(folder)), prefixes=("/api/ml",))
        caller = TestClient(app, raise_server_exceptions=False)

        def ask(method: str, path: str, key: str | None, extra: dict | None = None, **request: Any) -> Any:
            headers = ({"Authorization": f"Bearer {key}"} if key else {}) | (extra or {})
            return caller.request(method, path, headers=headers, **request)

        try:
            ask("GET", "/api/ml/models", world.keys[world.tenants[0].client_id])
            rounds = 0
            while found.calls < calls:
                hostile.everything(world, found, app, ask, random.Random(seed + rounds))
                rounds += 1
                say(f"round {rounds}: {found.calls} calls, {len(found.shapes)} shapes, {len(found.leaks)} leaks")
            timing = hostile.timing_attacks(world, found, ask, TIMED)
            say("the walls, one by one:")
            for mutant in hostile_mutants.database_mutants(world):
                mutants.append((mutant.name, mutant.found(world)))
                if not mutants[-1][1]:
                    say(f"  missed: {mutant.name}")
            # The walls stand again. (What comes next lets answers of one be logged for another.)
            hostile.everything(world, found, app, ask, random.Random(seed))
            mutants += hostile_mutants.layer_mutants(world, app, ask)
        finally:
            if app.state.service.service:
                app.state.service.service.stop()
            hostile_world.remove_logins(world)
    return Measured(
        found.calls,
        found.shapes,
        found.leaks,
        mutants,
        timing,
        time.monotonic() - began,
        Counter(s[1] for s in found.shapes),
    )


def tables(measured: Measured) -> list[Table]:
    attacks = Table("attack", "shapes", title="What was tried")
    for attack, count in sorted(measured.attempts.items()):
        attacks.add_row(attack, str(count))
    missed = [name for name, seen in measured.mutants if not seen]
    shown = Table("", "measured", "goal", "")
    share, gap = measured.timing
    shown.add_row("calls", str(measured.calls), f"at least {CALLS}", "")
    shown.add_row(
        "attack_shapes", str(len(measured.shapes)), f"at least {SHAPES}", "endpoint × attack × identity × target"
    )
    shown.add_row("leaks", str(len(measured.leaks)), "0", "; ".join(measured.leaks[:3]))
    shown.add_row("mutants", str(len(measured.mutants)), "", "walls taken away one by one")
    shown.add_row("mutants_missed", str(len(missed)), "0", "; ".join(missed[:3]))
    shown.add_row("timing", f"{gap * 1000:+.3f} ms", "", f"a foreign key takes longer in {share:.0%} of pairs")
    shown.add_row("seconds", f"{measured.seconds:.0f}", "", "")
    return [attacks, shown]


def as_json(measured: Measured) -> str:
    return json.dumps(
        {
            "calls": measured.calls,
            "attack_shapes": len(measured.shapes),
            "leaks": len(measured.leaks),
            "mutants": len(measured.mutants),
            "mutants_missed": sum(not seen for _, seen in measured.mutants),
        }
    )
