"""Keys of services for the prediction API: made, listed, renewed and ended on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from launcher.terminal import console

if TYPE_CHECKING:
    from include.foresight.database import Databases

app = typer.Typer(no_args_is_help=True, help="Keys of services for the prediction API.")

InstanceName = Annotated[str | None, typer.Option("--instance", help="Which instance.", show_default=False)]


def databases(name: str | None) -> Databases:
    """Those of the instance, or the ones that the environment names; a key needs the primary alone."""
    from launcher import connections

    return connections.databases(name, needs=("primary",))


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
