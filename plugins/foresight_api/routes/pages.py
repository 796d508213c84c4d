"""Pages for people: the models of all their clients, one model's page, what trainings cost.

Rows are read by the client's own database role, or for people who look after the fleet by the fleet's: a page shows
what that role may read.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.security.utils import get_authorization_scheme_param
from starlette.responses import Response

from foresight_api.dependencies import ServiceDep, in_thread
from foresight_api.errors import Forbidden, NotFound
from foresight_api.pages import costs, fleet, model, rendering
from foresight_api.pages.charts import Record
from foresight_api.service import Service
from include.foresight import dossier, drift, estimates, model_specs, overview, pgml, settings, track_record
from include.foresight.database import Transaction, is_unavailable
from include.foresight.dossier import Dossier
from include.foresight.errors import UnknownClient
from include.foresight.track_record import Told


@dataclass(frozen=True)
class Viewer:
    """A logged-in person: the clients (ids) that he acts for, and whether he sees how the whole fleet does."""

    name: str
    clients: tuple[int, ...]
    fleet: bool

    @property
    def said(self) -> str:
        if self.fleet:
            return f"{self.name}, sees the whole fleet"
        return f"{self.name}, sees {len(self.clients)} client{'' if len(self.clients) == 1 else 's'}"


async def viewer(request: Request, service: ServiceDep) -> Viewer:
    """By Airflow's own authentication. Keys of services open no page."""
    request.state.problem_page = rendering.problem_page
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    name, roles = await request.app.state.person(request, token if scheme.lower() == "bearer" else None)
    ids = await in_thread(request, service.clients_of_person, name, roles)
    sees_all = bool({role.lower() for role in roles} & settings.fleet_roles())
    if not ids and not sees_all:
        raise Forbidden(f"user '{name}' acts for no client; the registry (ml.client_people) says who acts for whom")
    return Viewer(name, tuple(ids), sees_all)


ViewerDep = Annotated[Viewer, Depends(viewer)]
# Everything here asks who it is, the files too.
router = APIRouter(prefix="/pages", dependencies=[Depends(viewer)])

Word = Annotated[str, Query(max_length=100)]
Slug = Annotated[str, Path(max_length=63, pattern="^[a-z0-9][a-z0-9_]*$")]


def of_all(service: Service, viewer: Viewer, read: Callable[[Transaction], list[Any]]) -> list[Any]:
    """What the viewer's roles may read, together."""
    if viewer.fleet:
        with service.databases.primary() as primary, primary.as_fleet() as tx:
            return read(tx)
    found = service.of_clients(viewer.clients, read)
    return sorted(found, key=lambda one: (one.slug, one.model))


@router.get("", name="fleet")
async def models(
    request: Request,
    service: ServiceDep,
    viewer: ViewerDep,
    q: Word = "",
    model: Word = "",
    rung: Word = "",
    status: Word = "",
) -> Response:
    """Clients and models: what serves, error beside the simple rung, trend, last night, status."""

    def work() -> Response:
        lines = of_all(service, viewer, overview.read)
        asked = {"q": q, "model": model, "rung": rung, "status": status}
        return rendering.page(request, "fleet.html", viewer=viewer.said, **fleet.view(lines, asked))

    return await in_thread(request, work)


@router.get("/costs", name="costs")
async def ledger(request: Request, service: ServiceDep, viewer: ViewerDep) -> Response:
    """Processor time by client and model."""

    def work() -> Response:
        since = overview.costs_since()
        found = of_all(service, viewer, lambda tx: overview.costs(tx, since))
        return rendering.page(request, "costs.html", viewer=viewer.said, **costs.view(found, since))

    return await in_thread(request, work)


@router.get("/static/{name}", name="static")
async def static(request: Request, name: str) -> Response:
    if name not in rendering.files():
        raise NotFound
    return await anyio.to_thread.run_sync(rendering.static, request, name)


@router.get("/{slug}/{named}", name="model")
async def one_model(request: Request, service: ServiceDep, viewer: ViewerDep, slug: Slug, named: str) -> Response:
    """All that is kept of one client's one model."""
    if named not in model_specs.names():
        raise NotFound

    def work() -> Response:
        client_id = the_client(service, viewer, slug)
        own = client_id in viewer.clients
        with service.databases.primary() as primary:
            opened = primary.as_client(client_id) if own else primary.as_fleet()
            with opened as tx:
                found = dossier.read(tx, dossier.find(tx, slug), named, words=own)
                told = track_record.told(tx, found.client, found.spec) if own else []
                moved = drift.last(tx, found.client, found.spec) if own else None
        origin, record = on_replica(service, found, told) if own else (None, None)
        return rendering.page(request, "model.html", viewer=viewer.said, **model.view(found, origin, record, moved))

    return await in_thread(request, work)


def on_replica(service: Service, found: Dossier, told: Sequence[Told]) -> tuple[dict[str, Any] | None, Record]:
    """What the client's replica knows: the snapshot that the model in service was trained on, and what came of what was
    told. Without the replica the rest of the page stands."""
    serving, client = found.serving, found.client
    origin = None
    try:
        with service.databases.session(client.replica_conn_id) as replica:
            if serving is not None and serving["pgml_model_id"] is not None:
                with replica.as_client(client.client_id, timeout=track_record.READ_SECONDS) as tx:
                    origin = pgml.lineage(tx, serving["pgml_model_id"])
            with replica.as_client(client.client_id, timeout=track_record.READ_SECONDS) as tx:
                outcomes = track_record.outcomes(tx, client, found.spec, told)
    except Exception as error:
        if not is_unavailable(error):
            raise
        return origin, Record(len(told), (), away=True)
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    return origin, Record(len(told), outcomes, estimates=estimates.periods(found.spec, told, outcomes, now))


def the_client(service: Service, viewer: Viewer, slug: str) -> int:
    """The id of a client that the viewer may see; raises NotFound, in the same words where there is none."""
    try:
        with service.databases.primary() as primary, primary.as_fleet() as tx:
            client_id = dossier.find(tx, slug).client_id
    except UnknownClient:
        raise NotFound from None
    if not viewer.fleet and client_id not in viewer.clients:
        raise NotFound
    return client_id
