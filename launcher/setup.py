"""From whatever is there to an instance that works: clusters, databases, platform data, Airflow."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from launcher import airflow, clusters, engine, nightly, report
from launcher import instance as instances
from launcher.clusters import Cluster
from launcher.instance import Instance
from launcher.nightly import Night
from launcher.progress import Progress

if TYPE_CHECKING:
    from demo.exports import Client

PLATFORM = "platform"

REPLICA_POOL = "foresight_replica"
# One thread trains; more sessions than cores would only take turns.
REPLICA_SLOTS = max(1, os.cpu_count() or 1)

# Which service answers on which port.
SERVING = {
    "api": "api-server",
    "worker_log": "scheduler",
    "trigger_log": "triggerer",
    "scheduler_health": "scheduler",
}


def is_running(instance: Instance, port_name: str) -> bool:
    """Whether the server of ours that this port is kept for is up."""
    if port_name in SERVING:
        return airflow.service(instance, SERVING[port_name]).running
    cluster: Cluster = getattr(clusters.of(instance), port_name)
    return cluster.running


@contextlib.contextmanager
def undone_on_failure(instance: Instance) -> Iterator[Callable[[], None]]:
    """If the body fails, Ctrl-C included, stop what it started; what ran before goes on running.

    Yields what does the stopping.
    """
    services = [one for one in airflow.services(instance) if not one.running]
    servers = [one.name for one in clusters.of(instance).all() if not one.running]

    def undo() -> None:
        airflow.stop(services)
        clusters.of(instance).stop(servers)

    try:
        yield undo
    except BaseException:
        undo()
        raise


def stop(instance: Instance) -> None:
    """End everything of the instance, whoever started it."""
    airflow.stop(airflow.services(instance))
    clusters.of(instance).stop()


def assign_ports(instance: Instance) -> None:
    """Keep the ports of the last start; take others for those that a stranger holds by now."""
    held = {name for name in instances.PORTS if is_running(instance, name)}
    ports = instances.choose_ports(instance.ports, held, str(instance.folder))
    if ports != instance.ports:
        # A service that runs knows the others by their old ports.
        airflow.stop(airflow.services(instance))
        instance.ports = ports
        instance.save()


def servers(instance: Instance, progress: Progress, *, wanted: Collection[str] = clusters.NAMES) -> None:
    """Bring the clusters up with their databases, those and nothing else. For tests and for whoever wants to look."""
    clusters.check_reachable(instance)
    assign_ports(instance)
    with progress.phase("clusters"), ThreadPoolExecutor() as pool:
        jobs = [pool.submit(engine.install)] if "replica" in wanted else []
        jobs += [pool.submit(cluster_with_database, instance, name) for name in wanted]
        finish(jobs)


def whole(instance: Instance, progress: Progress, *, force: bool = False, exports: list[Client] | None = None) -> Night:
    """Everything, from nothing or from whatever is there, and then every client's nightly.

    `exports`: the clients of the instance's folder, while they are not in its database.
    """
    clusters.check_reachable(instance)
    with undone_on_failure(instance) as undo:
        assign_ports(instance)
        with ThreadPoolExecutor() as pool:
            jobs = [
                pool.submit(provide_databases, instance, progress, exports),
                pool.submit(start_airflow, instance, progress),
            ]
            try:
                finish(jobs)
            except BaseException:
                while not all(job.done() for job in jobs):
                    undo()  # Ctrl-C: take from the jobs what they work with, or they would go on to their end
                    time.sleep(0.2)
                raise
        with progress.phase("airflow healthy"):
            # Last: it reads the registry's snapshot, which the databases' set-up has written.
            airflow.start(instance, ["dag-processor"])
            airflow.wait_until_healthy(instance)
        progress.say(airflow.login(instance, with_password=True))
        with progress.phase("nightly"):
            return run_nightly(instance, progress, force=force)


def start_airflow(instance: Instance, progress: Progress) -> None:
    """The metadata cluster, Airflow's tables and the services that do not wait for our own databases."""
    with progress.phase("airflow start"):
        cluster_with_database(instance, "metadata")
        airflow.migrate(instance)
        airflow.start(instance, ["api-server", "scheduler", "triggerer"])
        airflow.warm_up(instance)


def provide_databases(instance: Instance, progress: Progress, exports: list[Client] | None = None) -> None:
    """Primary and replica with the platform's data, our roles, schemas, replication and clients."""
    with progress.phase("clusters"), ThreadPoolExecutor() as pool:
        finish(
            [
                pool.submit(engine.install),
                pool.submit(cluster_with_database, instance, "primary"),
                pool.submit(cluster_with_database, instance, "replica"),
            ]
        )
    # Imported here: they bring pandas and more, for which `stop` and `status` need not wait.
    from include.foresight import deployment
    from launcher import platform_data

    both = clusters.of(instance)
    primary, replica = both.primary.conninfo(PLATFORM), both.replica.conninfo(PLATFORM)
    with progress.phase("platform data"):
        as_platform = both.primary.conninfo(PLATFORM, user=PLATFORM, password=instance.secrets["platform"])
        platform_data.provide(instance, as_platform, progress, exports)
    with progress.phase("databases"):
        deployment.install(
            primary,
            replica,
            replication_dsn_for_replica=both.primary.conninfo(
                PLATFORM, user="foresight_replication", password=instance.secrets["replication"]
            ),
            passwords=deployment.Passwords(app=instance.secrets["app"], replication=instance.secrets["replication"]),
            progress=progress.say,
        )
        platform_data.register_clients(instance, primary, replica)


def run_nightly(instance: Instance, progress: Progress, *, force: bool) -> Night:
    from launcher import platform_data

    slugs = report.active_clients(instance)
    api = airflow.Api(instance)
    api.ensure_pool(REPLICA_POOL, REPLICA_SLOTS, "Sessions on the ML replica; a model is trained by one thread.")
    api.wait_for_dags({nightly.dag_id(slug) for slug in slugs})
    with platform_data.etl(instance):
        run_id = nightly.trigger(api, slugs, nightly.parameters(force=force))
        return nightly.follow(api, run_id, slugs, progress)


def cluster_with_database(instance: Instance, name: str) -> None:
    """One cluster up, with its database and the role that owns that. The platform's owner has no other privilege."""
    cluster: Cluster = getattr(clusters.of(instance), name)
    cluster.create()
    cluster.start()
    match name:
        case "primary":
            clusters.ensure_database(cluster, PLATFORM, owner=PLATFORM, password=instance.secrets["platform"])
        case "replica":
            clusters.ensure_database(cluster, PLATFORM)
        case "metadata":
            clusters.ensure_database(
                cluster, airflow.DATABASE, owner=airflow.DATABASE, password=instance.secrets["airflow_database"]
            )


def finish(jobs: list[Future]) -> None:
    """Wait for all of them, then raise the first failure: none may go on behind our back."""
    while not all(job.done() for job in jobs):
        time.sleep(0.05)  # not Future.result(): it would hold back Ctrl-C
    for job in jobs:
        job.result()
