"""The commands."""

from __future__ import annotations

import getpass
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from include.foresight.errors import ForesightError
from launcher import airflow, bench, clusters, engine, keys, nightly, people, processes, report, serve, setup
from launcher import instance as instances
from launcher.errors import LauncherError
from launcher.instance import Instance
from launcher.progress import Progress
from launcher.system import CHECKOUT, postgres_bin, server_user

app = typer.Typer(
    name="foresight",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Machine-learning models for every client, trained inside PostgreSQL, every night.",
)
app.add_typer(bench.app, name="bench")
# What is not a terminal has no width: a file or a pipe takes lines as long as the table needs them.
WIDTH = None if sys.stdout.isatty() else 200
console = Console(width=WIDTH)
errors = Console(stderr=True)

InstanceName = Annotated[
    str | None,
    typer.Option("--instance", help="Which instance; the one of the last run unless named.", show_default=False),
]


PrimaryOption = Annotated[
    str | None,
    typer.Option(metavar="DSN", envvar="FORESIGHT_PRIMARY", help="The platform's database.", show_default=False),
]
ReplicaOption = Annotated[
    str | None,
    typer.Option(metavar="DSN", envvar="FORESIGHT_REPLICA", help="The ML replica.", show_default=False),
]
SqlOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Where primary.sql and replica.sql go, for an administrator (0600)."),
]
# What a command ends with that has left something to an administrator.
ADMINISTRATOR_NEEDED = 3


def chosen(name: str | None) -> Instance:
    return instances.load(name or instances.latest())


@app.command()
def run(
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder of CSV exports (one project = one client) instead of the demo data.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Retrain models whose data has not changed.")] = False,
    instance: Annotated[
        str | None,
        typer.Option(help="A name for the instance: `demo`, or made from the folder's name.", show_default=False),
    ] = None,
) -> None:
    """Set everything up and run every client's nightly.

    Shows what came out. The services stay up; `stop` ends them.
    """
    progress = Progress(console, _began())
    progress.seconds |= _bootstrap_seconds()
    one = instances.load_or_create(instance or instances.name_for(data), data)
    with instances.locked(one):
        try:
            night = setup.whole(one, progress, force=force)
        finally:
            progress.close()
    instances.remember_as_latest(one)
    result = report.read(one)
    console.print(progress.table())
    report.show(result, console)
    console.print(
        f"\nThe UI: {airflow.base_url(one)}  login: {airflow.ADMIN}  password: {one.secrets['airflow_admin']}\n"
        "./foresight stop ends the services, ./foresight report shows this table again.",
        markup=False,
        highlight=False,
    )
    if night.failed_tasks:
        errors.print(f"Failed: {', '.join(night.failed_tasks)}. The UI has their logs.", markup=False, highlight=False)
        raise typer.Exit(1)


@app.command("report")
def show_report(
    instance: InstanceName = None,
    json: Annotated[bool, typer.Option("--json", help="Last, one line of JSON with the totals.")] = False,
    business: Annotated[
        bool, typer.Option("--business", help="What the predictions would have changed, with the formulas.")
    ] = False,
    as_of: Annotated[
        str | None, typer.Option(help="With --business: as it stood at this moment (UTC).", show_default=False)
    ] = None,
) -> None:
    """The last nightly of every client."""
    if business:
        _show_business(instance, as_of, json)
        return
    result = report.read(chosen(instance))
    report.show(result, console)
    if json:
        print(report.as_json(result), flush=True)


def _show_business(instance: str | None, as_of: str | None, json: bool) -> None:
    from include.foresight import business, runs
    from launcher import connections

    databases = connections.databases(instance)
    try:
        moment = runs.moment(as_of)
        findings = [one for slug in business.clients_of(databases) for one in business.read(databases, slug, moment)]
    except ForesightError as error:
        raise LauncherError(str(error)) from error
    report.show_business(findings, console)
    if json:
        print(report.business_as_json(findings), flush=True)


@app.command()
def rollback(
    client: Annotated[str, typer.Argument(help="The client's key, as in the name of its DAG: nightly__<client>.")],
    model: Annotated[str, typer.Argument(help="complexity, rework or trajectory.")],
    to: Annotated[
        int | None, typer.Option(metavar="VERSION", help="What served as this version.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "by hand",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would serve; change nothing.")] = False,
    instance: InstanceName = None,
) -> None:
    """Let serve again what served a client before; once more goes further back.

    Without an instance: on the servers of AIRFLOW_CONN_FORESIGHT_PRIMARY and _REPLICA, where these are set.
    """
    from include.foresight import promotion
    from launcher import connections

    try:
        restored = promotion.rollback(
            connections.databases(instance),
            client,
            model,
            to_version=to,
            actor=f"{getpass.getuser()} by ./foresight rollback",
            reason=reason,
            dry_run=dry_run,
        )
    except ForesightError as error:
        raise LauncherError(str(error)) from error
    console.print(restored.sentence, markup=False, highlight=False, soft_wrap=True)


@app.command()
def status(
    primary: Annotated[str | None, typer.Option(metavar="DSN", show_default=False)] = None,
    replica: Annotated[str | None, typer.Option(metavar="DSN", show_default=False)] = None,
) -> None:
    """What runs, instance by instance, and where the platform's tables have moved on from their copies.

    With --primary and --replica: of servers that exist, the latter alone.
    """
    if primary or replica:
        _warn_of_drift(*_both(primary, replica))
        return
    found = instances.names()
    if not found:
        console.print("No instance yet: ./foresight run makes one.")
    for name in found:
        one = instances.load(name)
        console.print(
            f"{name}: {one.data or 'demo data'}  ({one.folder})", markup=False, highlight=False, soft_wrap=True
        )
        for cluster in clusters.of(one).all():
            state = f"up, 127.0.0.1:{cluster.port}" if cluster.running else "stopped"
            console.print(f"  {cluster.name:<14}{state}", highlight=False)
        for service in airflow.services(one):
            state = "stopped"
            if service.running:
                state = f"up, {airflow.base_url(one)}" if service.name == "api-server" else "up"
            console.print(f"  {service.name:<14}{state}", highlight=False)
        servers = clusters.of(one)
        if servers.primary.running and servers.replica.running:
            _warn_of_drift(servers.primary.conninfo(setup.PLATFORM), servers.replica.conninfo(setup.PLATFORM))


def _warn_of_drift(primary: str, replica: str) -> None:
    from launcher import attach as attaching

    for line in attaching.drift(attaching.Servers(primary, replica)):
        console.print(f"  warning: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)


@app.command()
def logs(
    component: Annotated[
        str | None,
        typer.Argument(help="scheduler, api-server, dag-processor, triggerer, primary, replica or metadata."),
    ] = None,
    instance: InstanceName = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as the log grows; Ctrl-C ends it.")] = False,
) -> None:
    """The end of a component's log, or the list of logs."""
    one = chosen(instance)
    files = {cluster.name: cluster.log for cluster in clusters.of(one).all()}
    files |= {service.name: service.log for service in airflow.services(one)}
    if component is None:
        for name, path in files.items():
            console.print(f"{name:<14}{path}", markup=False, highlight=False, soft_wrap=True)
        console.print(f"{'tasks':<14}{one.logs / 'tasks'}", markup=False, highlight=False, soft_wrap=True)
        return
    if component not in files:
        raise LauncherError(f"there is no component '{component}': choose one of {', '.join(files)}")
    print(processes.tail(files[component], lines), flush=True)
    if follow:
        os.execvp("tail", ["tail", "--follow=name", "--lines=0", str(files[component])])


@app.command()
def stop(instance: InstanceName = None) -> None:
    """End every server and service; the data stay.

    Of all instances, unless one is named.
    """
    for name in [instance] if instance else instances.names():
        one = instances.load(name)
        with instances.locked(one):
            started = time.monotonic()
            setup.stop(one)
        console.print(f"{name}: stopped in {time.monotonic() - started:.1f} s", highlight=False)


@app.command()
def clean(
    instance: InstanceName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this it is only told what would be lost.")] = False,
) -> None:
    """Destroy an instance: its databases, models, logs and passwords."""
    one = chosen(instance)
    if not yes:
        console.print(
            f"Would stop instance '{one.name}' ({one.data or 'demo data'}) and delete {one.folder} with its databases, "
            "models and logs. Add --yes to do it.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return
    with instances.locked(one):
        setup.stop(one)
        instances.destroy(one)
    console.print(f"{one.name}: destroyed", highlight=False)


@app.command("metrics")
def show_metrics(instance: InstanceName = None) -> None:
    """How every client's models are, in Prometheus' text format, for a file that its node exporter reads.

    Without an instance: of the primary of AIRFLOW_CONN_FORESIGHT_PRIMARY.
    """
    from include.foresight import metrics
    from launcher import connections

    try:
        print(metrics.text(metrics.of_fleet(connections.databases(instance))).decode(), end="")
    except ForesightError as error:
        raise LauncherError(str(error)) from error


@app.command()
def trigger(
    client: Annotated[str, typer.Argument(help="The client's key, as in the name of its DAG: nightly__<client>.")],
    models: Annotated[
        str | None, typer.Option(help="Only these models, with commas between.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Train and judge, but promote and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Retrain models whose data has not changed.")] = False,
    as_of: Annotated[
        str | None, typer.Option(help="As if it were this moment (UTC), e.g. 2024-05-31T00:00:00.", show_default=False)
    ] = None,
    instance: InstanceName = None,
) -> None:
    """One client's nightly now, watched to its end.

    The services must be up.
    """
    from include.foresight import runs

    try:
        runs.moment(as_of)
    except ForesightError as error:
        raise LauncherError(str(error)) from error
    one = chosen(instance)
    if not airflow.service(one, "api-server").running:
        raise LauncherError(f"the services of '{one.name}' are not up: start them with ./foresight run")
    progress = Progress(console)
    api = airflow.Api(one)
    api.wait_for_dags({nightly.dag_id(client)}, patience=5)
    conf = nightly.parameters(models=models, dry_run=dry_run, force=force, as_of=as_of)
    run_id = nightly.trigger(api, [client], conf)
    progress.say(f"{nightly.dag_id(client)} {run_id}")
    night = nightly.follow(api, run_id, [client], progress)
    result = report.read(one, [client])
    report.show(result, console)
    if night.failed_tasks:
        errors.print(f"Failed: {', '.join(night.failed_tasks)}", markup=False, highlight=False)
        raise typer.Exit(1)


@app.command(
    "test",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def run_tests(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="The long suites too.")] = False,
) -> None:
    """Run the project's tests: all of them in as many processes as there are cores, what is chosen in one.

    What follows goes to pytest: ./foresight test -k gates -x
    """
    engine.install()
    selection = [] if everything else ["-m", "not long"]
    if all(argument.startswith("-") for argument in context.args) and "--pdb" not in context.args:
        # Each worker has servers of its own; a module's tests share databases, so they stay together.
        selection += ["-n", str(max(2, min(4, os.cpu_count() or 2))), "--dist", "loadfile"]
    user = server_user()
    environment = os.environ | {
        "FORESIGHT_PG_BIN": str(postgres_bin()),
        "FORESIGHT_ENGINE_VENV": str(instances.engine_environment()),
        "FORESIGHT_OS_USER": user.name,
    }
    command = [sys.executable, "-m", "pytest", *selection, *context.args]
    raise typer.Exit(subprocess.run(command, cwd=CHECKOUT, env=environment, check=False).returncode)


@app.command()
def attach(
    primary: PrimaryOption = None,
    replica: ReplicaOption = None,
    primary_for_replica: Annotated[
        str | None,
        typer.Option(metavar="DSN", help="Where the replica finds the primary, if elsewhere.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look and tell; change nothing.")] = False,
    env_file: Annotated[
        Path | None,
        typer.Option(help="Where Airflow's variables and the passwords go (0600), and come from the next time."),
    ] = None,
    sql: SqlOption = None,
    register_clients: Annotated[
        bool, typer.Option("--register-clients", help="Put all of the platform's clients into the registry.")
    ] = False,
    new_passwords: Annotated[bool, typer.Option("--new-passwords", help="Set new passwords of our logins.")] = False,
) -> None:
    """Set Foresight up on servers that exist.

    What the logins may not do is printed as SQL for an administrator; attach again afterwards.
    """
    from launcher import attach as attaching

    servers = attaching.Servers(*_both(primary, replica), primary_for_replica)
    passwords = attaching.known_passwords(env_file)
    if dry_run:
        result = attaching.rehearse(servers, passwords, _say)
    else:
        result = attaching.attach(servers, passwords, _say, new_passwords=new_passwords)
        if register_clients and not result.left:
            attaching.register_clients(servers, _say)
        if env_file:
            attaching.write(env_file, "\n".join(attaching.as_lines(result.environment)) + "\n")
            _say(f"Airflow's variables and the passwords: {env_file}")
    _tell_left(result, sql)
    if not dry_run:
        if not env_file:
            _say("For Airflow's environment, shown this once:")
            print("\n".join(attaching.as_lines(result.environment)), flush=True)
        if not result.left:
            _say(
                "Next: give Airflow these variables and this checkout as a DAG bundle, make a pool named "
                "foresight_replica with as many slots as the replica has cores, register the clients (docs/attach.md)."
            )
    if result.left:
        raise typer.Exit(ADMINISTRATOR_NEEDED)


@app.command()
def detach(
    primary: PrimaryOption = None,
    replica: ReplicaOption = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Our schemas, copies and roles too, with all that was learned.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this it is only told what would go.")] = False,
    sql: SqlOption = None,
) -> None:
    """Undo attach: subscription, slot and publication, and with --everything the rest.

    The platform's own tables stay as they are, and so does pgml with its models.
    """
    from launcher import attach as attaching

    servers = attaching.Servers(*_both(primary, replica))
    result = attaching.detach(servers, everything=everything, yes=yes, say=_say)
    _tell_left(result, sql)
    if result.left:
        raise typer.Exit(ADMINISTRATOR_NEEDED)


def _both(primary: str | None, replica: str | None) -> tuple[str, str]:
    if not primary or not replica:
        raise LauncherError("name both servers: --primary DSN --replica DSN")
    return primary, replica


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _tell_left(result, folder: Path | None) -> None:
    """Print what an administrator has to run, or write it where it can be run from."""
    from launcher import attach as attaching

    for side in ("primary", "replica"):
        script = result.script(side)
        if not script:
            continue
        _say(f"\nAn administrator of the {side} has to run:")
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            attaching.write(folder / f"{side}.sql", script + "\n")
            _say(f"  psql -v ON_ERROR_STOP=1 -f {folder / f'{side}.sql'}")
            for one in result.left:
                if one.side == side:
                    _say(f"  -- {one.step.what}: for {one.step.needs}")
        else:
            print(script, flush=True)


@app.command("install-pgml")
def install_pgml(
    pg_config: Annotated[
        Path, typer.Option(metavar="PATH", help="pg_config of the server to install into.", show_default=False)
    ],
    venv: Annotated[
        Path | None,
        typer.Option(help="The server's Python environment, made if it is not there.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look and tell; change nothing.")] = False,
) -> None:
    """Put our pgml as an extension into a PostgreSQL that exists.

    Afterwards `create extension pgml cascade` in each database that is to have it, by a superuser, once.
    """
    from launcher import install_pgml as installing

    installing.install(pg_config, venv and venv.resolve(), _say, dry_run=dry_run)


@app.command()
def backtest(
    data: Annotated[
        Path,
        typer.Option(
            help="A folder of CSV exports; one project is one client.", exists=True, file_okay=False, show_default=False
        ),
    ],
    client: Annotated[str, typer.Option(help="The project's name in the folder.", show_default=False)],
    model: Annotated[str, typer.Option(help="Which model's history.")] = "complexity",
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the report goes.")] = Path("backtest.html"),
) -> None:
    """A client's history, lived again week by week, and a report of what would have been served.

    On servers of its own that are thrown away afterwards; no instance is touched. A history of more than a year is
    lived in sixty steps.
    """
    from launcher import backtest as backtesting

    bench.hush()
    replayed = backtesting.run(data, client, model, out, bench.say)
    console.print(
        f"{out}: {len(replayed.answers)} answers in {len(replayed.steps)} nights, {replayed.seconds:.0f} s",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


app.add_typer(keys.app, name="key")
app.add_typer(people.app, name="people")


@app.command("serve")
def serve_predictions(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8010,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    instance: InstanceName = None,
) -> None:
    """The prediction API alone, beside Airflow.

    On the instance's databases; where AIRFLOW_CONN_FORESIGHT_PRIMARY and _REPLICA are set, on those. Ends with Ctrl-C.
    """
    given = all(os.environ.get(f"AIRFLOW_CONN_FORESIGHT_{side}") for side in ("PRIMARY", "REPLICA"))
    console.print(f"http://{host}:{port}/api/ml/docs (a key: ./foresight key issue)", highlight=False)
    raise typer.Exit(serve.run(None if given else chosen(instance), host, port, workers))


@app.command("watchdog")
def watch_from_outside(
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="One look, for cron or systemd; tells at once.")] = False,
    instance: InstanceName = None,
) -> None:
    """Tell of what Airflow cannot tell itself: dead components, nights that never began or do not end.

    A trouble that two looks in a row find is told, once a day. Run it where it outlives Airflow. Ends with Ctrl-C.
    """
    command = [sys.executable, "-m", "include.foresight.watchdog", "--every", str(every), *(["--once"] if once else [])]
    one = chosen(instance)
    raise typer.Exit(subprocess.run(command, cwd=CHECKOUT, env=airflow.environment(one), check=False).returncode)


@app.command("env")
def environment(instance: InstanceName = None) -> None:
    """Shell lines to work by hand: airflow, psql.

    eval "$(./foresight env)"; psql "$FORESIGHT_PRIMARY"; airflow dags list
    """
    one = chosen(instance)
    servers = clusters.of(one)
    variables = airflow.settings(one) | {
        "FORESIGHT_PRIMARY": servers.primary.conninfo(setup.PLATFORM),
        "FORESIGHT_REPLICA": servers.replica.conninfo(setup.PLATFORM),
    }
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    programs = f"{Path(sys.executable).parent}:{servers.primary.bin}"
    print(f'export PATH={shlex.quote(programs)}:"$PATH"')


def _bootstrap_seconds() -> dict[str, float]:
    """What the shell part took, from the moments that it left."""
    moments = [float(one) for one in os.environ.get("FORESIGHT_BOOTSTRAP_SECONDS", "").split()]
    if len(moments) != 3:
        return {}
    return {"packages": moments[1] - moments[0], "environments": moments[2] - moments[1]}


def _began() -> float | None:
    moments = os.environ.get("FORESIGHT_BOOTSTRAP_SECONDS", "").split()
    return float(moments[0]) if moments else None


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Ctrl-C, or a signal that means the same. (KeyboardInterrupt itself is Typer's to report.)"""


def main() -> None:
    def interrupted(number: int, _: object) -> None:
        for one in ENDING:
            signal.signal(one, signal.SIG_IGN)  # a second Ctrl-C must not cut short what the first one began
        errors.print("foresight: stopping what this command had started ...", markup=False)
        raise Interrupted

    for one in ENDING:
        signal.signal(one, interrupted)
    try:
        app(prog_name="./foresight")
    except (LauncherError, ForesightError) as error:
        errors.print(f"foresight: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except Interrupted:
        errors.print("foresight: interrupted", markup=False)
        sys.exit(130)
