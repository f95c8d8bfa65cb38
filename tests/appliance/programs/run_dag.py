"""Run a DAG to its end as a real account; told: `url`, `user`, `password`, `dag`, `conf`. Says how every task ended."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import requests

CA = "/etc/databank/databank/ca.crt"
MOST_S = 1800

told = json.load(sys.stdin)
session = requests.Session()
session.verify = CA


def said(answer: requests.Response) -> Any:  # noqa: ANN401 - what JSON can say
    """The answer's content; what was refused is shown whole."""
    if not answer.ok:
        raise SystemExit(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:800]}")
    return answer.json()


def come_in() -> None:
    """Get a token: one is good for a while only."""
    account = {"username": told["user"], "password": told["password"]}
    token = said(session.post(f"{told['url']}/auth/token", json=account, timeout=30))["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"


def approve() -> None:
    """Say yes to what waits for a person."""
    for one in said(session.get(f"{dag}/dagRuns/{run}/taskInstances", timeout=30))["task_instances"]:
        if one["state"] == "awaiting_input":
            place = f"{dag}/dagRuns/{run}/taskInstances/{one['task_id']}/-1/hitlDetails"
            said(session.patch(place, json={"chosen_options": ["Approve"]}, timeout=30))


come_in()
dag = f"{told['url']}/api/v2/dags/{told['dag']}"
was_paused = said(session.get(dag, timeout=30))["is_paused"]
# A DAG that is woken begins with its schedule's own run; this one follows it.
run = said(session.post(f"{dag}/dagRuns", json={"logical_date": None, "conf": told["conf"]}, timeout=30))["dag_run_id"]
said(session.patch(dag, json={"is_paused": False}, timeout=30))
began = time.monotonic()
state = "queued"
while state in {"queued", "running"} and time.monotonic() - began < MOST_S:
    time.sleep(2)
    approve()
    state = said(session.get(f"{dag}/dagRuns/{run}", timeout=30))["state"]
said(session.patch(dag, json={"is_paused": was_paused}, timeout=30))
tasks = said(session.get(f"{dag}/dagRuns/{run}/taskInstances", timeout=30))["task_instances"]
ends = {task["task_id"]: [task["state"], task["try_number"], round(task["duration"] or 0)] for task in tasks}
logs = {}
for task in tasks:
    if task["state"] != "success":
        place = f"{dag}/dagRuns/{run}/taskInstances/{task['task_id']}/logs/{max(task['try_number'], 1)}"
        content = session.get(place, timeout=30, headers={"Accept": "application/json"}).text
        logs[task["task_id"]] = content[-6000:]
sys.stdout.write(json.dumps({"state": state, "tasks": ends, "logs": logs}))
