"""Airflow of one instance: its environment, its four services, its REST API."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from launcher import processes
from launcher.errors import LauncherError
from launcher.instance import Instance
from launcher.processes import Service
from launcher.system import CHECKOUT

ADMIN = "admin"
DATABASE = "airflow"
BUNDLE = "foresight"

SERVICES = {
    # Log servers would listen on every address of the machine; the API server reads the log files itself.
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
}

# Without the first, killing a task leaves its query running on the server.
CONNECTION_OPTIONS = "-c client_connection_check_interval=2s -c statement_timeout=3600s -c application_name=airflow"


def airflow_program() -> Path:
    return Path(sys.executable).with_name("airflow")


def base_url(instance: Instance) -> str:
    return f"http://127.0.0.1:{instance.ports['api']}"


def login(instance: Instance, *, with_password: bool) -> str:
    """How people reach the UI, in words."""
    address = base_url(instance) if "api" in instance.ports else "no address before its first start"
    password = instance.secrets["airflow_admin"] if with_password else "shown by ./foresight status --password"
    return f"The UI: {address}  login: {ADMIN}  password: {password}"


def metadata_url(instance: Instance) -> str:
    password = quote(instance.secrets["airflow_database"], safe="")
    return f"postgresql+psycopg://{DATABASE}:{password}@127.0.0.1:{instance.ports['metadata']}/{DATABASE}"


def connection(port: int, password: str) -> str:
    """An Airflow connection of the application's login, as JSON."""
    options = {"options": CONNECTION_OPTIONS}
    return json.dumps(
        {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": port,
            "login": "foresight_app",
            "password": password,
            "schema": "platform",
            # Twice: what goes through SQLAlchemy (get_df) does not read the first.
            "extra": options | {"sqlalchemy_query": options, "connect_timeout": 10},
        }
    )


def parallelism(cores: int) -> int:
    """Task processes at a time. All of them are started at once; Airflow's default of 32 makes two cores thrash."""
    return max(2, min(32, 2 * cores))


def connections_of_the_user() -> dict[str, str]:
    """Connections that the user's own environment brings: where alerts go (FORESIGHT_SMTP, FORESIGHT_WEBHOOK)."""
    theirs = ("AIRFLOW_CONN_FORESIGHT_", "AIRFLOW__METRICS__")
    return {name: value for name, value in os.environ.items() if name.startswith(theirs)}


def settings(instance: Instance, *, checkout: Path = CHECKOUT, cores: int | None = None) -> dict[str, str]:
    """The variables that make `airflow` (the command, the services, the tasks) work on this instance."""
    bundles = [
        {
            "name": BUNDLE,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(checkout)},
        }
    ]
    sections = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": parallelism(cores or os.cpu_count() or 2),
            "load_examples": False,
            "plugins_folder": checkout / "plugins",
            "fernet_key": instance.secrets["fernet"],
            "execution_api_server_url": f"{base_url(instance)}/execution/",
            "simple_auth_manager_users": f"{ADMIN}:admin",
            "simple_auth_manager_passwords_file": instance.airflow_home / "passwords.json",
        },
        "database": {"sql_alchemy_conn": metadata_url(instance)},
        "logging": {
            "base_log_folder": instance.logs / "tasks",
            "dag_processor_child_process_log_directory": instance.logs / "dag_processor",
            "worker_log_server_port": instance.ports["worker_log"],
            "trigger_log_server_port": instance.ports["trigger_log"],
        },
        "api": {
            "host": "127.0.0.1",
            "port": instance.ports["api"],
            "base_url": base_url(instance),
            "instance_name": f"Foresight: {instance.name}",
            "workers": 1,
            "secret_key": instance.secrets["api"],
        },
        "api_auth": {"jwt_secret": instance.secrets["jwt"]},
        # Airflow's 5 s are too short on a busy machine, and a task whose first request times out has failed.
        "workers": {"execution_api_timeout": 60},
        "scheduler": {
            # A nightly is a chain of short tasks: at Airflow's 1 s the waits between them are most of its time.
            "scheduler_idle_sleep_time": 0.25,
            # Of the DAG processor, whatever its section: how often it looks for DAGs that are gone.
            "parsing_cleanup_interval": 15,
            "scheduler_health_check_server_host": "127.0.0.1",
            "scheduler_health_check_server_port": instance.ports["scheduler_health"],
        },
        "dag_processor": {
            "dag_bundle_config_list": json.dumps(bundles),
            "dag_bundle_storage_path": instance.airflow_home / "bundles",
            # A change of the registry is in the snapshot within a minute and must be a DAG within two. The files are
            # the same ones all day; what they hold changes with the snapshot, so it is the second that counts.
            "refresh_interval": 30,
            "min_file_process_interval": 20,
            "parsing_processes": 1,
            # A DAG that its file has not made for so long is gone; it is looked for (below) that often.
            "stale_dag_threshold": 30,
        },
    }
    variables = {
        f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
        for section, entries in sections.items()
        for name, value in entries.items()
    }
    ours = {
        "AIRFLOW_HOME": str(instance.airflow_home),
        "AIRFLOW_CONN_FORESIGHT_PRIMARY": connection(instance.ports["primary"], instance.secrets["app"]),
        "AIRFLOW_CONN_FORESIGHT_REPLICA": connection(instance.ports["replica"], instance.secrets["app"]),
        # A bundle's root is on the path of the DAG processor and of tasks, but not of the API server and the triggerer.
        "PYTHONPATH": str(checkout),
        # Airflow's own use of a library, which would be the first line of every task's log.
        "PYTHONWARNINGS": "ignore:GitWildMatchPattern:DeprecationWarning",
        "FORESIGHT_REGISTRY_SNAPSHOT": str(instance.snapshot),
    }
    return variables | connections_of_the_user() | ours


def environment(instance: Instance) -> dict[str, str]:
    """A whole process environment. Settings of another Airflow that the user may have must not reach ours."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "PG", "FORESIGHT_BOOTSTRAP"))
    }
    path = f"{Path(sys.executable).parent}:{inherited.get('PATH', '/usr/bin:/bin')}"
    return inherited | settings(instance) | {"PATH": path}


def services(instance: Instance) -> list[Service]:
    return [service(instance, name) for name in SERVICES]


def service(instance: Instance, name: str) -> Service:
    return Service(name, instance.airflow_home, instance.run, instance.logs / f"{name}.log")


def migrate(instance: Instance) -> None:
    """Make or upgrade Airflow's tables; nothing to do while Airflow's version is the same."""
    current = version("apache-airflow-core")
    if instance.done.get("airflow_database") == current:
        return
    passwords = instance.airflow_home / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({ADMIN: instance.secrets["airflow_admin"]}))
    processes.run_to_end(
        [airflow_program(), "db", "migrate"],
        "airflow db migrate",
        instance.logs / "airflow-migrate.log",
        cwd=instance.airflow_home,
        env=environment(instance),
    )
    instance.mark("airflow_database", current)


def start(instance: Instance, names: Iterable[str] = tuple(SERVICES)) -> list[str]:
    """Start those services that do not run. Returns the ones it started."""
    variables = environment(instance)
    started = []
    for name in names:
        one = service(instance, name)
        if not one.running:
            one.stop()  # what a dead leader left behind
            one.start([airflow_program(), *SERVICES[name]], variables)
            started.append(name)
    return started


def stop(which: list[Service]) -> None:
    """End services, all at once."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(Service.stop, which))


HEALTHY = {"metadatabase", "scheduler", "triggerer", "dag_processor"}


def warm_up(instance: Instance, patience: float = 120) -> None:
    """Have the API server build its execution part (some seconds of CPU) now, not while the first task waits."""

    def answers() -> bool:
        try:
            return httpx.get(f"{base_url(instance)}/execution/health", timeout=60).is_success
        except httpx.HTTPError:
            return not service(instance, "api-server").running  # wait_until_healthy tells why it has ended

    processes.wait_until(answers, patience, 0.3)


def wait_until_healthy(instance: Instance, patience: float = 120) -> None:
    """Wait for Airflow's own word that database, scheduler, triggerer and DAG processor are well."""
    state: dict[str, Any] = {}

    def healthy() -> bool:
        for one in services(instance):
            if not one.running:
                raise LauncherError(f"Airflow's {one.name} has ended. The end of {one.log}:\n{one.tail()}")
        try:
            state.update(httpx.get(f"{base_url(instance)}/api/v2/monitor/health", timeout=10).json())
        except (httpx.HTTPError, ValueError):
            return False
        return {name for name in HEALTHY if (state.get(name) or {}).get("status") == "healthy"} == HEALTHY

    if not processes.wait_until(healthy, patience, 0.3):
        missing = sorted(name for name in HEALTHY if (state.get(name) or {}).get("status") != "healthy")
        raise LauncherError(
            f"Airflow is not healthy after {patience:.0f} s ({', '.join(missing)}). Look at ./foresight logs scheduler "
            "(or api-server, dag-processor, triggerer); a machine under heavy load may just need a second try."
        )


@dataclass
class Api:
    """Airflow's REST API as the administrator of the instance."""

    instance: Instance

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=base_url(self.instance), timeout=60)
        credentials = {"username": ADMIN, "password": self.instance.secrets["airflow_admin"]}
        answer = self.client.post("/auth/token", json=credentials)
        self._check(answer)
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _check(self, answer: httpx.Response) -> None:
        if answer.is_error:
            raise LauncherError(
                f"Airflow's API answered {answer.status_code} to {answer.request.url.path}: {answer.text[:500]}"
            )

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(f"/api/v2{path}", params=parameters)
        self._check(answer)
        return answer.json()

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        answer = self.client.post("/api/v2/pools", json=body)
        if answer.status_code != httpx.codes.CONFLICT:
            self._check(answer)

    def wait_for_dags(self, wanted: set[str], patience: float = 90) -> None:
        """Wait until these DAGs can be triggered: parsed, not stale, not paused."""
        found: set[str] = set()

        def all_there() -> bool:
            found.update(dag["dag_id"] for dag in self._pages("GET", "/dags", "dags", {"paused": False}))
            return wanted <= found

        if not processes.wait_until(all_there, patience, 0.5):
            errors = [f"{one['filename']}: {one['stack_trace']}" for one in self.get("/importErrors")["import_errors"]]
            missing = ", ".join(sorted(wanted - found))
            reason = "\n".join(errors)[-2000:] or "./foresight logs dag-processor may tell more."
            raise LauncherError(f"Airflow does not offer {missing} after {patience:.0f} s. {reason}")

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        self._check(self.client.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body))

    def runs(self, run_id: str) -> dict[str, str]:
        """The state of that run of every DAG that has one."""
        found = self._pages("GET", "/dags/~/dagRuns", "dag_runs", {"run_id_pattern": run_id})
        return {run["dag_id"]: run["state"] for run in found if run["dag_run_id"] == run_id}

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The task instances of that run of every DAG that has one."""
        return self._pages("POST", "/dags/~/dagRuns/~/taskInstances/list", "task_instances", {"dag_run_ids": [run_id]})

    def _pages(self, method: str, path: str, key: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        """Everything that a list holds; Airflow gives 100 entries at a time."""
        found: list[dict[str, Any]] = []
        while True:
            if method == "GET":
                answer = self.client.get(f"/api/v2{path}", params=query | {"limit": 100, "offset": len(found)})
            else:
                answer = self.client.post(f"/api/v2{path}", json=query | {"page_limit": 100, "page_offset": len(found)})
            self._check(answer)
            page = answer.json()
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found
