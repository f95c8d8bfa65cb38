"""Airflow beside Kafka and Trino: the real programs with real accounts, on loopback, in an environment of their own."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from services.embedded.layout import Layout
from services.embedded.ports import LOOPBACK
from services.setup import paths
from services.setup.resolved import Resolved, environment
from spark_jobs.errors import TerminalError

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 40.0
DAEMONS: Mapping[str, tuple[str, ...]] = {
    # Without the servers of logs: these listen to everyone, and the web pages read the same files.
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
USER = "admin"
SPARK_SLOTS = 1  # drivers that share this machine's cores with the stack
_SECRETS = ("password", "fernet_key", "secret_key", "jwt_secret")
_PASSED_ON = ("JAVA_HOME", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "PYTHONPATH", "SPARK_LOCAL_IP")
# Airflow's workers and tasks are forks, and would outlive a scheduler that is killed: on a cluster systemd ends them.
_SETTINGS_OF_PROCESSES = '''"""Written by the embedded stack: what Airflow forks ends with what forked it."""

import ctypes
import os
import signal

os.register_at_fork(after_in_child=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL))
'''


def log_file(layout: Layout) -> Path:
    """The log of the programs' keeper; each program has its own beside it."""
    return layout.logs / "airflow.log"


def home(layout: Layout) -> Path:
    """Airflow's home: settings, secrets, database."""
    return layout.root / "airflow"


def password_file(layout: Layout) -> Path:
    """What USER logs in with; this system's user alone may read it."""
    return home(layout) / "password"


def python() -> Path:
    """Airflow's own interpreter; TerminalError where its environment is not there."""
    found = paths.airflow_venv_dir() / "bin" / "python"
    if not (paths.airflow_venv_dir() / ".complete").exists():
        raise TerminalError(f"{found.parents[1]} is no whole environment; `./databank up --airflow` makes it")
    return found


def prepare(chosen: Resolved, layout: Layout, *, port: int) -> list[str]:
    """Write its files; the command that keeps its programs running."""
    folder = home(layout)
    for made in (folder, folder / "config", layout.logs / "tasks"):
        made.mkdir(mode=0o700, exist_ok=True)
    own = _secrets_of(folder)
    _write(password_file(layout), f"{own['password']}\n")
    _write(folder / "airflow.cfg", _settings(layout, own, port))
    _write(folder / "config" / "airflow_local_settings.py", _SETTINGS_OF_PROCESSES)
    _write(folder / "program", _program(chosen, layout), mode=0o700)
    return [sys.executable, "-P", "-m", "services.embedded.airflow_keeper", str(python()), str(layout.root)]


def environment_of_programs(layout: Layout) -> dict[str, str]:
    """What Airflow's programs are started with: nothing of the platform's own Python."""
    folder = home(layout)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON", "PYSPARK"))}
    return {
        **kept,
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW_CONFIG": str(folder / "airflow.cfg"),
        "DATABANK_PROGRAM": str(folder / "program"),
        "PATH": f"{python().parent}:{os.environ.get('PATH', os.defpath)}",
        "NO_PROXY": LOOPBACK,
        "LC_ALL": "C.UTF-8",
    }


def answers(port: int) -> bool:
    """True when all four programs say that they are healthy: the address itself answers 200 when they are not."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/api/v2/monitor/health", timeout=5) as reply:
            said = json.load(reply)
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return {one["status"] for one in said.values()} == {"healthy"}


def _secrets_of(folder: Path) -> dict[str, str]:
    """Made once: what Airflow has sealed with them must stay readable."""
    path = folder / "secrets.json"
    if not path.exists():
        made = {name: secrets.token_urlsafe(64) for name in _SECRETS}
        made["fernet_key"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        made["password"] = secrets.token_urlsafe(12)
        _write(path, json.dumps(made))
    try:
        held: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return {name: held[name] for name in _SECRETS}
    except (OSError, ValueError, KeyError) as error:
        raise TerminalError(f"{path} cannot be read ({error}); remove {folder} to begin Airflow anew") from error


def _settings(layout: Layout, own: Mapping[str, str], port: int) -> str:
    address = f"http://{LOOPBACK}:{port}"
    sections: dict[str, dict[str, str | int]] = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": 4,
            "dags_folder": str(paths.REPO / "dags"),
            "load_examples": "False",
            "auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "fernet_key": own["fernet_key"],
            "execution_api_server_url": f"{address}/execution/",
            "default_timezone": "utc",
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{home(layout) / 'airflow.sqlite'}?timeout=60"},
        "logging": {
            "base_log_folder": str(layout.logs / "tasks"),
            "dag_processor_child_process_log_directory": str(layout.logs / "dag_processor"),
        },
        "api": {
            "host": LOOPBACK,
            "port": port,
            "workers": 1,
            "base_url": address,
            "secret_key": own["secret_key"],
            "expose_config": "False",
        },
        "api_auth": {"jwt_secret": own["jwt_secret"]},
        "fab": {"auth_backends": "airflow.providers.fab.auth_manager.api.auth.backend.session"},
        # Soon, so that tasks of a scheduler that was killed are not waited for.
        "scheduler": {"orphaned_tasks_check_interval": 30},
        "workers": {"execution_api_timeout": 60},  # the cores are Spark's and Trino's as well
        "dag_processor": {"refresh_interval": 60, "min_file_process_interval": 300},
        "usage_data_collection": {"enabled": "False"},
    }
    return "# Written by the embedded stack at each start.\n" + "".join(
        f"[{name}]\n" + "".join(f"{key} = {str(value).replace('%', '%%')}\n" for key, value in values.items())
        for name, values in sections.items()
    )


def _program(chosen: Resolved, layout: Layout) -> str:
    """`program MODULE ARGUMENTS` is what `databank MODULE ARGUMENTS` is on a cluster's hosts."""
    told = environment(chosen)
    exports = {name: told[name] for name in told if name in _PASSED_ON or name.startswith("DATABANK_SPARK_")}
    exports["DATABANK_SETTINGS"] = str(layout.settings)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(exports.items())]
    run = f'exec {shlex.quote(sys.executable)} -P -m "$@"'
    return "\n".join(["#!/bin/sh", "set -eu", *lines, f"cd {shlex.quote(str(home(layout)))}", run, ""])


def _write(path: Path, text: str, *, mode: int = 0o600) -> None:
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text)
    partial.rename(path)
