"""Who acts for which client at the prediction API: users and roles of Airflow, on the command line."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from launcher.keys import InstanceName, databases
from launcher.terminal import console

app = typer.Typer(no_args_is_help=True, help="Who acts for which client: users and roles of Airflow.")

Name = Annotated[str, typer.Argument(help="The user's name in Airflow, or with --role the name of a role.")]
Clients = Annotated[list[str], typer.Option("--client", help="The client; may be repeated.")]
Role = Annotated[bool, typer.Option("--role", help="The name is that of a role: all who have it are meant.")]

FRESH = "every process of the API knows within seconds"


@app.command()
def allow(name: Name, client: Clients, role: Role = False, instance: InstanceName = None) -> None:
    """Let a user, or all with a role, act for clients."""
    _change("allow", name, client, role, instance)
    console.print(f"{name}: acts for {', '.join(client)}; {FRESH}", markup=False, highlight=False)


@app.command()
def refuse(name: Name, client: Clients, role: Role = False, instance: InstanceName = None) -> None:
    """End that."""
    _change("refuse", name, client, role, instance)
    console.print(f"{name}: acts for {', '.join(client)} no longer; {FRESH}", markup=False, highlight=False)


@app.command("list")
def show(instance: InstanceName = None) -> None:
    """Who acts for whom."""
    from include.foresight import people

    table = Table()
    for heading in ("user or role", "name", "clients"):
        table.add_column(heading, overflow="fold")
    with databases(instance).primary() as primary:
        for row in people.listed(primary):
            table.add_row(row["kind"], row["principal"], ", ".join(row["clients"]))
    console.print(table)


def _change(how: str, name: str, slugs: list[str], role: bool, instance: str | None) -> None:
    from include.foresight import people

    principal = people.Principal("role" if role else "user", name)
    with databases(instance).primary() as primary:
        {"allow": people.allow, "refuse": people.refuse}[how](primary, principal, slugs)
