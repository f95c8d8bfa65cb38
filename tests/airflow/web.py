"""Airflow as a person meets it: by its web address, with an account."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

MOST_S = 240.0


class Web:
    """A session of an account that came in with its password."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        account = {"username": user, "password": password}
        token = self._said(self._session.post(f"{url}/auth/token", json=account, timeout=60))["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, place: str, **options: Any) -> dict[str, Any]:
        return self._said(self._session.get(f"{self.url}/api/v2/{place}", timeout=60, **options))

    def post(self, place: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._said(self._session.post(f"{self.url}/api/v2/{place}", json=given, timeout=60))

    def patch(self, place: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._said(self._session.patch(f"{self.url}/api/v2/{place}", json=given, timeout=60))

    def start(self, dag: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run by hand; its address. The DAG is switched on where it is paused."""
        self.wait_for(lambda: dag in {one["dag_id"] for one in self.get("dags?limit=100")["dags"]}, dag)
        run = self.post(f"dags/{dag}/dagRuns", {"logical_date": None, "conf": dict(conf or {})})["dag_run_id"]
        self.patch(f"dags/{dag}", {"is_paused": False})
        return f"dags/{dag}/dagRuns/{run}"

    def wake(self, dag: str) -> str:
        """Switch a DAG on; the address of the run that its schedule gives it."""
        self.wait_for(lambda: dag in {one["dag_id"] for one in self.get("dags?limit=100")["dags"]}, dag)
        self.patch(f"dags/{dag}", {"is_paused": False})
        self.wait_for(lambda: self.get(f"dags/{dag}/dagRuns")["dag_runs"], f"a run of {dag}")
        return f"dags/{dag}/dagRuns/{self.get(f'dags/{dag}/dagRuns')['dag_runs'][0]['dag_run_id']}"

    def states(self, run: str) -> dict[str, str]:
        """State of each task of a run, by its name; of the whole run under ''."""
        tasks = self.get(f"{run}/taskInstances")["task_instances"]
        return {"": self.get(run)["state"]} | {one["task_id"]: one["state"] or "none" for one in tasks}

    def log(self, run: str, task: str, attempt: int = 1) -> str:
        """What stands in a task's log."""
        said = self.get(f"{run}/taskInstances/{task}/logs/{attempt}", headers={"Accept": "application/json"})
        return "\n".join(words for line in said["content"] for words in _words_of(line))

    def wait_for(self, is_so: Callable[[], object], what: str, *, most_s: float = MOST_S) -> None:
        until = time.monotonic() + most_s
        while not is_so():
            assert time.monotonic() < until, f"not within {most_s:.0f} s: {what}"
            time.sleep(0.5)

    def _said(self, answer: requests.Response) -> dict[str, Any]:
        assert answer.ok, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:800]}"
        said: dict[str, Any] = answer.json()
        return said


def _words_of(line: object) -> list[str]:
    """What a line of a task's log says; the words of an exception stand beside the line itself."""
    if not isinstance(line, dict):
        return [str(line)]
    raised = [str(one.get("exc_value")) for one in line.get("error_detail") or []]
    return [str(line.get("event", line)), *raised]
