"""Problems as documents (RFC 9457): one handler, one table from what went wrong to what the caller is told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from foresight_api.schemas import Problem
from foresight_api.service import RegistryUnavailable
from include.foresight.api_keys import KeyRefused
from include.foresight.database import is_away, is_late, message
from include.foresight.errors import DatabaseBusy, ForesightError, UnknownClient
from include.foresight.serving import NoModelYet, ReplicaAway

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

# Of a request with more problems the first are told.
MOST_ERRORS = 20
LONGEST_NAME = 200


class Unauthorized(ForesightError):
    """No key and no login."""

    def __init__(self) -> None:
        super().__init__("a service key, or Airflow's login where this API is part of Airflow, is needed")


class Forbidden(ForesightError):
    """Known, but not allowed."""


class NotFound(ForesightError):
    """There is no such page, or none for whoever asks: the same words."""

    def __init__(self) -> None:
        super().__init__("there is no such page, or it is not for you")


class Busy(ForesightError):
    """Too many requests wait already."""

    def __init__(self) -> None:
        super().__init__("too many requests wait already; try again in a second")


class NotReady(ForesightError):
    """Neither database answers."""

    def __init__(self) -> None:
        super().__init__("neither the primary nor the replica answers")


# The first class that fits: status, title.
TOLD: tuple[tuple[type[Exception], int, str], ...] = (
    (Unauthorized, 401, "Not authenticated"),
    (KeyRefused, 401, "Key refused"),
    (Forbidden, 403, "Not allowed"),
    (NotFound, 404, "Not found"),
    (UnknownClient, 403, "No such client"),
    (NoModelYet, 409, "No model yet"),
    (NotReady, 503, "Not ready"),
    (Busy, 503, "Busy"),
    (DatabaseBusy, 503, "Busy"),
    (ReplicaAway, 503, "Replica away"),
    (RegistryUnavailable, 503, "Database away"),
    (ForesightError, 500, "Failed"),
)


def told_as(error: Exception) -> tuple[int, str]:
    """Status and title."""
    if is_away(error):
        return 503, "Database away"
    if is_late(error):
        return 503, "Database slow"
    return next(((status, title) for kind, status, title in TOLD if isinstance(error, kind)), (500, "Failed"))


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": title}
    for status, title in {
        400: "The body is no text",
        401: "No key or login, or one that is not valid",
        403: "The caller does not act for that client",
        409: "The client has had no night yet",
        413: "The body is too large",
        422: "The body is not as it should be",
        503: "A database does not answer in time and there is no earlier prediction, or too many requests wait",
    }.items()
}


def answer(request: Request, status: int, title: str, detail: str, errors: list[dict] | None = None) -> Response:
    """A problem as the caller can read it: a page where a person looks at pages, else a document."""
    as_page = getattr(request.state, "problem_page", None)
    return as_page(request, status, title, detail) if as_page else problem(status, title, detail, errors)


def problem(status: int, title: str, detail: str, errors: list[dict] | None = None) -> JSONResponse:
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if errors is not None:
        document["errors"] = errors
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "1"} if status == 503 else None
    return JSONResponse(document, status, headers=headers, media_type=MEDIA_TYPE)


def told_name(place: Sequence[str | int]) -> str:
    """Where in the request. A name may be the caller's own, with characters that no answer can have."""
    return ".".join(map(str, place)).encode(errors="replace").decode()[:LONGEST_NAME]


def install(app: FastAPI) -> None:
    import psycopg

    @app.exception_handler(ForesightError)
    async def told(request: Request, error: ForesightError) -> Response:
        status, title = told_as(error)
        if status == 500:
            return unexpected(request, error)
        return answer(request, status, title, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        # Without the input: it may be large, no text at all, and is the caller's own.
        errors = error.errors()
        found = [{"where": told_name(one["loc"]), "what": one["msg"]} for one in errors[:MOST_ERRORS]]
        return answer(request, 422, "Not as it should be", f"{len(errors)} problems in the request", found)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, "Refused", str(error.detail))

    @app.exception_handler(psycopg.Error)
    async def of_a_database(request: Request, error: psycopg.Error) -> Response:
        status, title = told_as(error)
        if status == 500:
            return unexpected(request, error)
        log.warning("%s %s: %s: %s", request.method, request.url.path, title, message(error))
        return answer(request, status, title, "a database does not answer in time; try again in a moment")

    @app.exception_handler(Exception)
    async def other(request: Request, error: Exception) -> Response:
        return unexpected(request, error)


def unexpected(request: Request, error: Exception) -> Response:
    """What the caller learns is that it failed: the text of an error may hold anybody's values."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return answer(request, 500, "Failed", "the request failed; the server's log says why")
