"""Keys of services for the prediction API: made, listed, renewed and ended on the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from launcher import clusters, setup
from launcher import instance as instances
from launcher.errors import LauncherError
from launcher.instance import Instance
from launcher.terminal import console

app = typer.Typer(no_args_is_help=True, help="Keys of services for the prediction API.")

InstanceName = Annotated[str | None, typer.Option("--instance", help="Which instance.", show_default=False)]


def databases(name: str | None):
    """Of the instance; where AIRFLOW_CONN_FORESIGHT_PRIMARY is set and no instance is named, those that it names."""
    from launcher.platform_data import databases

    if name is None and os.environ.get("AIRFLOW_CONN_FORESIGHT_PRIMARY"):
        import psycopg

        from include.foresight import settings
        from include.foresight.database import Databases

        return Databases(lambda conn_id: psycopg.connect(settings.conninfo(conn_id)))
    one: Instance = instances.load(name or instances.latest())
    servers = clusters.of(one)
    if not servers.primary.running:
        raise LauncherError(f"the primary of '{one.name}' is stopped: ./foresight run starts it")
    return databases(
        servers.primary.conninfo(setup.PLATFORM), servers.replica.conninfo(setup.PLATFORM), one.secrets["app"]
    )


@app.command()
def issue(
    name: Annotated[str, typer.Argument(help="What uses it, for people who look at the list.")],
    client: Annotated[list[str], typer.Option(help="The client that it acts for; several with --any-of.")],
    any_of: Annotated[bool, typer.Option("--any-of", help="A request may name one of these clients.")] = False,
    days: Annotated[int | None, typer.Option(min=1, help="Ends after so many days.", show_default=False)] = None,
    instance: InstanceName = None,
) -> None:
    """Make a key. It is shown this once."""
    from include.foresight import api_keys, clients

    with databases(instance).primary() as primary:
        with primary.as_fleet() as fleet:
            ids = [clients.read(fleet, slug).client_id for slug in client]
        print(api_keys.issue(primary, name, ids, days=days, any_of=any_of))


@app.command("list")
def show(instance: InstanceName = None) -> None:
    """Every key, without its secret."""
    from include.foresight import api_keys

    with databases(instance).primary() as primary:
        console.print(table(api_keys.listed(primary)))


def table(keys: Sequence[Mapping[str, Any]]) -> Table:
    shown = Table()
    # However narrow the table is, the id stays whole: `rotate` and `revoke` want it.
    shown.add_column("id", min_width=max((len(row["key_id"]) for row in keys), default=0), no_wrap=True)
    for heading in ("name", "clients", "names one", "made", "ends", "revoked"):
        shown.add_column(heading, overflow="fold")
    for row in keys:
        moments = [f"{row[at]:%Y-%m-%d %H:%M}" if row[at] else "" for at in ("created_at", "expires_at", "revoked_at")]
        clients = ", ".join(row["clients"] or [])
        shown.add_row(row["key_id"], row["name"], clients, "yes" if row["any_of"] else "", *moments)
    return shown


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(help="The key's id, from the list.")],
    grace_days: Annotated[int, typer.Option(min=0, help="How long the old key goes on.")] = 7,
    instance: InstanceName = None,
) -> None:
    """A new key with the rights of an old one, which ends some days later."""
    from include.foresight import api_keys

    with databases(instance).primary() as primary:
        print(api_keys.rotate(primary, key_id, grace_days=grace_days))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, from the list.")], instance: InstanceName = None
) -> None:
    """End a key now."""
    from include.foresight import api_keys

    with databases(instance).primary() as primary:
        api_keys.revoke(primary, key_id)
    console.print(f"{key_id}: revoked; every process refuses it within seconds")
