"""For whoever starts and balances servers: does this process live, can it answer. Nobody needs a key for that."""

from __future__ import annotations

import os

import anyio
from fastapi import APIRouter

from foresight_api.dependencies import PerhapsCallerDep, ServiceDep
from foresight_api.errors import RESPONSES, NotReady
from foresight_api.schemas import AliveResponse, ReadyResponse

router = APIRouter(tags=["probes"], responses={status: RESPONSES[status] for status in (401, 503)})


@router.get("/alive")
async def alive(service: ServiceDep, caller: PerhapsCallerDep) -> AliveResponse:
    """That the process answers, without asking a database. With a key also what it had the answers of already."""
    if caller is None:
        return AliveResponse(process=os.getpid(), cache_hits=None, cache_misses=None)
    hits, misses = (
        sum(map(of.__getitem__, caller.clients)) for of in (service.predictor.hits, service.predictor.misses)
    )
    return AliveResponse(process=os.getpid(), cache_hits=hits, cache_misses=misses)


@router.get("/ready")
async def ready(service: ServiceDep) -> ReadyResponse:
    """That the primary or the replica answers, so that requests for predictions can be; 503 if neither does."""
    if not await anyio.to_thread.run_sync(service.ready):
        raise NotReady
    return ReadyResponse(ready=True)
