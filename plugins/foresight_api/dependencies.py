"""Who asks, and for which client. Fails closed: whatever is not allowed here is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import anyio
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from foresight_api.errors import Busy, Forbidden, Unauthorized
from foresight_api.service import Service
from include.foresight.api_keys import PREFIX
from include.foresight.clients import Client

# Requests that are worked on at once in one process, and how many may wait for their turn before others are sent away.
# More than there are sessions: most of them wait to be computed together, which takes one.
AT_ONCE = 16
WAITING = 100

bearer = HTTPBearer(auto_error=False, description="A service key (fsk_...), or a token of Airflow's.")


@dataclass(frozen=True)
class Caller:
    """Somebody who may act for one of `clients` (ids); for which one, a request says only if `any_of`."""

    name: str
    clients: tuple[int, ...]
    any_of: bool


def service(request: Request) -> Service:
    return request.app.state.service()


ServiceDep = Annotated[Service, Depends(service)]


async def in_thread(request: Request, work: Any, *arguments: Any) -> Any:
    """Run blocking work beside the event loop, a few at a time; when too many wait, the next is sent away at once."""
    limiter: anyio.CapacityLimiter = request.app.state.limiter
    if limiter.statistics().tasks_waiting >= WAITING:
        raise Busy
    return await anyio.to_thread.run_sync(work, *arguments, limiter=limiter)


async def caller(
    request: Request,
    service: ServiceDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    """A service by its key; a person by Airflow's own authentication, where the app is mounted in it."""
    if credentials is not None and credentials.credentials.startswith(f"{PREFIX}_"):
        key = await in_thread(request, service.check_key, credentials.credentials)
        return Caller(f"key {key.key_id}", key.clients, key.any_of)
    person = getattr(request.app.state, "person", None)
    if person is None:
        raise Unauthorized
    name, roles = await person(request, credentials.credentials if credentials else None)
    ids = await in_thread(request, service.clients_of_person, name, roles)
    if not ids:
        raise Forbidden(f"user '{name}' acts for no client; the registry (ml.client_people) says who acts for whom")
    return Caller(name, tuple(ids), len(ids) > 1)


CallerDep = Annotated[Caller, Depends(caller)]


async def perhaps_caller(
    request: Request,
    service: ServiceDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller | None:
    """Who asks, where nobody has to say so."""
    return None if credentials is None else await caller(request, service, credentials)


PerhapsCallerDep = Annotated[Caller | None, Depends(perhaps_caller)]


async def client_for(request: Request, service: Service, caller: Caller, named: str | None) -> Client:
    """The client that the caller acts for. A name in the request counts only with the grant, among its clients."""
    allowed = [await in_thread(request, service.client, client_id) for client_id in caller.clients]
    if named is None:
        if len(allowed) > 1:
            raise Forbidden("the caller acts for several clients: name one of them in `client`")
        return allowed[0]
    if not caller.any_of:
        raise Forbidden("the caller acts for one client only; `client` must be left out")
    for client in allowed:
        if client.slug == named:
            return client
    # The same words whether there is such a client or not.
    raise Forbidden(f"the caller does not act for a client '{named}'")
