"""An Airflow of this test process's own. Import this before anything of Airflow's, which reads its settings once."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.mkdtemp(prefix="foresight-airflow-"))
SNAPSHOT = HOME / "registry" / "clients.json"

if "airflow" in sys.modules:
    raise RuntimeError("airflow was imported before tests.support.airflow_home")

atexit.register(shutil.rmtree, HOME, ignore_errors=True)

SETTINGS = {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(HOME / "logs"),
    "AIRFLOW__API__BASE_URL": "http://airflow.example",
    "AIRFLOW__API_AUTH__JWT_SECRET": "0" * 64,
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
        [
            {
                "name": "foresight",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(ROOT)},
            }
        ]
    ),
    "FORESIGHT_REGISTRY_SNAPSHOT": str(SNAPSHOT),
}
os.environ.update(SETTINGS)
