"""Callers of the prediction API in a process of their own, open loop: `python -m benchmarks.callers PLAN RESULTS`.

A plan is JSON: {"address", "begins" (epoch), "patience", "calls": [[at, caller, path, key, body], ...]}, `at` in
seconds from the beginning. A call is sent at its moment whether or not earlier ones are answered, and its latency
counts from that moment: callers that wait for each other would hide a server that stands still.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import httpx


async def call(client: httpx.AsyncClient, plan: dict[str, Any], one: list, results: list) -> None:
    at, caller, path, key, body = one
    intended = plan["begins"] + at
    await asyncio.sleep(max(0.0, intended - time.time()))
    sent = time.time()
    try:
        answer = await client.request(
            "POST" if body is not None else "GET", path, json=body, headers={"Authorization": f"Bearer {key}"}
        )
        status, said = answer.status_code, answer.json() if answer.status_code == 200 else {}
    except httpx.HTTPError as error:
        status, said = type(error).__name__, {}
    except ValueError:
        status, said = "NotJson", {}
    entities = said.get("estimates") or said.get("predictions") or []
    results.append(
        {
            "at": at,
            "path": path,
            "late": sent - intended,
            "latency": time.time() - intended,
            "status": status,
            "uuids": [entity["prediction_uuid"] for entity in entities if entity["rung"] is not None],
            "models": sorted({entity["model_uuid"] or "" for entity in entities}),
            "last_known": bool(said.get("last_known")),
        }
    )


async def main(plan: dict[str, Any]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    callers = len({one[1] for one in plan["calls"]})
    limits = httpx.Limits(max_connections=4 * callers + 10, max_keepalive_connections=callers)
    async with httpx.AsyncClient(base_url=plan["address"], timeout=plan["patience"], limits=limits) as client:
        await asyncio.gather(*(call(client, plan, one, results) for one in plan["calls"]))
    return results


if __name__ == "__main__":
    began = time.monotonic()
    found = asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
    used = resource.getrusage(resource.RUSAGE_SELF)
    busy = (used.ru_utime + used.ru_stime) / (time.monotonic() - began)
    Path(sys.argv[2]).write_text(json.dumps({"results": found, "busy": busy}))
