"""The prediction API: one app, mounted in Airflow's API server by the plugin, or run alone by ./foresight serve."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from typing import Any, Literal

import anyio
from fastapi import Depends, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foresight_api import errors
from foresight_api.dependencies import AT_ONCE, caller
from foresight_api.errors import problem
from foresight_api.routes import metrics, models, pages, predictions, probes
from foresight_api.service import Service

TITLE = "Foresight predictions"
# A list of 200 keys of 255 characters, in whatever encoding, is smaller.
LARGEST_BODY = 256 * 1024
# Swagger UI's files, of an installed package: no browser asks anybody else for them.
PAGE = files("fastapi_offline") / "static"

Person = Callable[..., Any]


def create_app(
    start: Callable[[], Service], *, person: Person | None = None, prefixes: tuple[str, ...] = ("",)
) -> FastAPI:
    """`start` makes the process's service, at the first request. `person(request, token)` answers name and roles of a
    logged-in person; without it only services are let in. The routes stand below each of the prefixes and their /v1."""
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.person = person
    app.state.service = Once(start)
    app.state.limiter = anyio.CapacityLimiter(AT_ONCE)
    errors.install(app)
    app.add_middleware(SizeLimit)
    guarded = [Depends(caller)]
    for prefix in prefixes:
        for version in ("", "/v1"):
            in_schema = version == ""
            for router in (predictions.router, models.router, metrics.router):
                app.include_router(router, prefix=prefix + version, dependencies=guarded, include_in_schema=in_schema)
            app.include_router(probes.router, prefix=prefix + version, include_in_schema=in_schema)
        document(app, prefix)
        if person is not None:
            # Pages are for people, and only Airflow knows who is one.
            app.include_router(pages.router, prefix=prefix, include_in_schema=False)
    return app


def document(app: FastAPI, prefix: str) -> None:
    """The OpenAPI document and its page. They are the same for everybody, and a browser has no key to send."""

    async def openapi(request: Request) -> dict:
        # Where the app is mounted, its routes do not know it; the page sends its requests to where the document says.
        mounted = request.scope.get("root_path")
        servers = [{"url": mounted}] if mounted else None
        return get_openapi(title=TITLE, version="1", routes=app.routes, description=DESCRIPTION, servers=servers)

    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=TITLE,
            swagger_js_url="page/swagger-ui-bundle.js",
            swagger_css_url="page/swagger-ui.css",
            swagger_favicon_url="page/favicon.png",
            # Or the page would send the document's address to a validator somewhere.
            swagger_ui_parameters={"validatorUrl": None},
        )

    async def file(name: Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]) -> FileResponse:
        return FileResponse(PAGE / name, headers={"Cache-Control": "max-age=86400"})

    app.add_api_route(f"{prefix}/openapi.json", openapi, include_in_schema=False)
    app.add_api_route(f"{prefix}/docs", docs, include_in_schema=False)
    app.add_api_route(f"{prefix}/page/{{name}}", file, include_in_schema=False)


DESCRIPTION = (
    "What the models of the caller's client say of its epics, issues and pull requests. The client is the caller's; "
    "errors are problem documents (RFC 9457)."
)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    if app.state.service.service is not None:
        await anyio.to_thread.run_sync(app.state.service.service.stop)


class Once:
    """The process's service: made at the first call, given again ever after. A start that fails is tried again."""

    def __init__(self, start: Callable[[], Service]) -> None:
        self._start, self._lock = start, threading.Lock()
        self.service: Service | None = None

    def __call__(self) -> Service:
        with self._lock:
            if self.service is None:
                self.service = self._start()
            return self.service


class SizeLimit:
    """Refuses bodies that no request of ours needs. Reads the body before the app does, which would call whatever goes
    wrong while it reads a body that cannot be parsed; so no request is begun whose body does not come to its end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        too_large = stated.isdigit() and int(stated) > LARGEST_BODY
        messages: deque[Message] = deque()
        received, more = 0, not too_large
        while more:
            message = await receive()
            messages.append(message)
            received += len(message.get("body", b""))
            too_large = received > LARGEST_BODY
            more = message.get("more_body", False) and not too_large
        if too_large:
            answer = problem(413, "Request too large", f"a body may have {LARGEST_BODY} bytes")
            await answer(scope, receive, send)
            return

        async def again() -> Message:
            return messages.popleft() if messages else await receive()

        await self.app(scope, again, send)
