"""Run in Airflow's environment: what its own reading of the folder of DAGs gives, as JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from airflow.dag_processing.dagbag import DagBag

sys.path.append(sys.argv[1])  # as Airflow does for what lies in its folder of DAGs
began = time.process_time()
bag = DagBag(sys.argv[1])
seconds = time.process_time() - began


def described(dag: Any) -> dict[str, Any]:  # noqa: ANN401 - Airflow is not in the tests' environment
    return {
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "timetable": type(dag.timetable).__name__,
        "scheduled": dag.timetable.can_be_scheduled,
        "paused": dag.is_paused_upon_creation,
        "doc": dag.doc_md,
        "deadline": bool(dag.deadline),
        "tasks": {task.task_id: of_task(task) for task in dag.tasks},
    }


def said_by_a_task(commands: Any) -> list[list[str]] | None:  # noqa: ANN401 - Airflow is not in the tests' environment
    """None where another task says them when it runs."""
    return commands if isinstance(commands, list) else None


def of_task(task: Any) -> dict[str, Any]:  # noqa: ANN401 - Airflow is not in the tests' environment
    return {
        "kind": type(task).__name__,
        "pool": task.pool,
        "retries": task.retries,
        "backs_off": float(task.retry_exponential_backoff),
        "most_s": task.execution_timeout.total_seconds() if task.execution_timeout else None,
        "answer_within": str(getattr(task, "response_timeout", None) or ""),
        "after": sorted(task.upstream_task_ids),
        "told": bool(task.on_failure_callback),
        "commands": said_by_a_task(getattr(task, "commands", [])),
    }


json.dump(
    {"seconds": seconds, "errors": bag.import_errors, "dags": {name: described(dag) for name, dag in bag.dags.items()}},
    sys.stdout,
)
