"""The main job on a cluster: history from HDFS, live events through Kafka, run by Airflow, then the proof."""

from __future__ import annotations

import csv
import json
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.demo import export
from services.setup import paths
from tests.appliance.cluster import Cluster, answer_of

PLATFORM_PYTHON = "/opt/databank/platform/current/venv/bin/python"
FILES = "/mnt/share/demo"
LEGACY = "/databank/legacy"
JOB = "/opt/databank/platform/current/code/services/demo/mappings/job.yaml"
LIVE_PER_S = 2500
LOADED_S = 300  # from a publication until it is served, on slow cores
LIVE_AT_LEAST = 100_000  # messages; a purchase has many lines


def do_main_job(cluster: Cluster) -> dict[str, Any]:
    """All of it; live events are sent while history moves. What each DAG run said of its tasks."""
    files = cluster.hosts.share / "demo"
    export.export(files)
    files.chmod(0o755)  # another system's files: every host may read them
    url = f"http://{cluster.host_of('namenode')}:9870"
    told = {"url": url, "files": f"{FILES}/export", "folder": LEGACY}
    assert answer_of(cluster.hosts, "h1", "put_history.py", told, python=PLATFORM_PYTHON) > 10
    sent: list[str] = []
    sending = threading.Thread(target=lambda: sent.append(send_live(cluster)))
    sending.start()
    conf = {"job": JOB, "source": f"hdfs://{cluster.host_of('namenode')}:8020{LEGACY}"}
    moved = run_dag(cluster, "databank_migration", conf)
    sending.join()
    assert json.loads(sent[0])["sent"] > LIVE_AT_LEAST, sent
    daily = run_dag(cluster, "databank_daily", {"workspace": "grocery", "base": "2018-01-01T00:00:00"})
    return {"databank_migration": moved, "databank_daily": daily}


def send_live(cluster: Cluster) -> str:
    """What the sites' collector says when all live events are acknowledged."""
    command = f"services.demo.live --input {FILES}/live/events.jsonl --rate {LIVE_PER_S}"
    return cluster.hosts.run("h1", f"databank {command}").stdout


def run_dag(cluster: Cluster, dag: str, conf: Mapping[str, str]) -> dict[str, Any]:
    """Run a DAG as Airflow's admin; every task must succeed."""
    account = {"user": "admin", "password": cluster.secrets()["airflow_admin_password"]}
    told = {"url": f"https://{cluster.host_of('airflow')}:8080", **account, "dag": dag, "conf": conf}
    said: dict[str, Any] = answer_of(cluster.hosts, "h1", "run_dag.py", told, python=PLATFORM_PYTHON)
    assert said["state"] == "success", json.dumps(said, indent=1)
    tasks: dict[str, Any] = said["tasks"]
    return tasks


def assert_totals_hold(cluster: Cluster) -> int:
    """Every figure that a BI user gets over HTTPS is the one in the package's own files; how many figures."""
    told = {
        "url": f"https://{cluster.address_of('trino_coordinator')}:8443",
        "ca_file": str(cluster.state / "tls/ca.crt"),
    }
    told |= {
        "password": cluster.secrets()["trino_bi_password"],
        "members": str(cluster.hosts.share / "demo/export/members.csv"),
    }
    program = str(Path(__file__).with_name("programs") / "prove.py")
    answer = cluster.hosts.inside(sys.executable, program, given=json.dumps(told), folder=paths.REPO)
    checks = json.loads(answer)
    wrong = [one for one in checks if one["wanted"] != one["found"]]
    assert not wrong, wrong
    assert {"4596039.58", "1469307"} <= {one["found"] for one in checks}
    return len(checks)


def profile_of_a_member(cluster: Cluster, key: str) -> dict[str, Any]:
    """What the profile API tells of the first member of the old system's file, once the loader has read the lake."""
    with (cluster.hosts.share / "demo/export/members.csv").open(encoding="utf-8", newline="") as file:
        member = next(csv.DictReader(file))["member_no"]
    address = f"https://{cluster.host_of('profiles')}:8360/v1/profiles/member_no/{member}?scope=grocery"
    told = {"url": address, "key": key}
    until = time.monotonic() + LOADED_S
    said: dict[str, Any] = {}
    while time.monotonic() < until:
        said = answer_of(cluster.hosts, "h1", "profile_of.py", told, python=PLATFORM_PYTHON)
        if "person_id" in said:
            return said
        time.sleep(2)
    raise AssertionError(f"no profile after {LOADED_S} s: {said}")
