"""One Airflow serves every test of this tier."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.embedded import airflow
from services.embedded.layout import Layout, prepare
from services.embedded.stack import EmbeddedStack
from services.setup import paths
from services.setup.resolved import resolved
from tests.airflow.web import Web

BAG = Path(__file__).with_name("programs") / "bag.py"


@pytest.fixture(scope="session")
def bag(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow reads in the folder of DAGs: errors, seconds of CPU, DAGs with their tasks."""
    layout: Layout = prepare(tmp_path_factory.mktemp("bag"))
    airflow.prepare(resolved(), layout, port=9)
    told = airflow.environment_of_programs(layout)
    command = [str(airflow.python()), "-P", str(BAG), str(paths.REPO / "dags")]
    finished = subprocess.run(command, env=told, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-3000:]
    said: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return said


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """Airflow and the broker, in a data directory of their own."""
    folder = tmp_path_factory.mktemp("airflow") / "data"
    with EmbeddedStack(folder, with_trino=False, with_airflow=True) as running:
        yield running


@pytest.fixture(scope="session")
def web(stack: EmbeddedStack) -> Web:
    """Airflow's door, with its account."""
    password = airflow.password_file(stack.layout).read_text().strip()
    return Web(stack.airflow_url, airflow.USER, password)
