"""Who is told when a run fails or is late: one address, by one small message without a word of any data."""

from __future__ import annotations

import json
import logging
import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# Names the file that holds the address: it may have a token in it, so it stands neither in settings nor in a DAG.
WEBHOOK_VARIABLE = "DATABANK_WEBHOOK_FILE"
_MOST_S = 10.0


def on_failure(context: Mapping[str, Any]) -> None:
    """Airflow calls it when a task has failed for good: a person must look."""
    task = context["ti"]
    facts = {"task": task.task_id, "attempt": task.try_number, "log": getattr(task, "log_url", None)}
    tell({"what": "task failed", "dag": task.dag_id, "run": task.run_id, **facts})


def on_deadline(context: Mapping[str, Any]) -> None:
    """Airflow calls it when a run is not over in time; the run itself goes on."""
    run = context.get("dag_run") or {}
    tell({"what": "run is late", "dag": run.get("dag_id"), "run": run.get("dag_run_id")})


def tell(message: Mapping[str, Any]) -> bool:
    """Send it as JSON; False where there is no address or nobody answers: being told must not fail a run."""
    address = _address()
    if address is None:
        return False
    body = json.dumps({"from": "databank", **message}).encode()
    told: Any = {"data": body, "headers": {"Content-Type": "application/json"}}
    try:
        request = urllib.request.Request(address, **told)  # noqa: S310 - `_address` gives http and https alone
        with urllib.request.urlopen(request, timeout=_MOST_S):  # noqa: S310 - the same
            return True
    except (OSError, ValueError) as error:
        # Its own text may hold the address.
        log.warning("nobody could be told: %s", type(error).__name__)
        return False


def _address() -> str | None:
    path = os.environ.get(WEBHOOK_VARIABLE)
    if not path:
        return None
    try:
        address = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        log.warning("nobody could be told: %s cannot be read (%s)", path, error.strerror)
        return None
    if not address.startswith(("https://", "http://")):
        log.warning("nobody could be told: what stands in %s is no address of http or https", path)
        return None
    return address
