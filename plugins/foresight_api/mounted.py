"""The app within Airflow's API server. The only module that uses what Airflow does not promise to keep: its users.

A mounted app inherits no authentication, so everything goes through `person`, and what it cannot decide it refuses.
"""

from __future__ import annotations

from fastapi import FastAPI, Request

from foresight_api.app import create_app
from foresight_api.errors import Unauthorized
from foresight_api.service import Service
from include.foresight import settings


def create() -> FastAPI:
    return create_app(start, person=person)


def start() -> Service:
    """Connections as Airflow has them: from the environment, a secrets backend, or its database."""
    from include.foresight import runtime

    return Service.start(runtime.conninfo, settings.journal_folder())


async def person(request: Request, token: str | None) -> tuple[str, list[str]]:
    """Name and roles of the user whose token or cookie the request has; raises Unauthorized."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

    token = token or request.cookies.get(COOKIE_NAME_JWT_TOKEN)
    if not token:
        raise Unauthorized
    try:
        user = await get_auth_manager().get_user_from_token(token)
    except Exception as error:  # whatever is wrong with a token, it is no token
        raise Unauthorized from error
    roles = getattr(user, "roles", None) or [getattr(user, "role", None)]
    return user.get_name(), [str(getattr(role, "name", role)) for role in roles if role]
