"""How tasks start the platform's programs: the only place that starts Spark.

A program's exit status says whether trying again can help; its output is the task's log while it runs; of what it
printed only the facts that a task names go on to Airflow.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from _child import Child, OrphanedError, is_worth_a_retry

PROGRAM_VARIABLE = "DATABANK_PROGRAM"  # what runs `MODULE ARGUMENTS`; the embedded stack has its own
PROGRAM = "/usr/local/bin/databank"
# Slots are drivers that fit into the memory of Airflow's host: the role makes the pool, and so does the embedded stack.
SPARK_POOL = "spark"
PROGRESS_S = "15"  # how often a job tells how far its stages are
MOST_BYTES_OF_FACTS = 48 * 1024


class DatabankOperator(BaseOperator):  # type: ignore[misc] # Airflow is not in this environment
    """Runs programs one after the other; an argument that renders to nothing is left out."""

    template_fields = ("commands",)
    ui_color = "#e8f0f8"

    def __init__(self, *, commands: Sequence[Sequence[str]], facts: Sequence[str] = (), **settings: Any) -> None:
        """`facts` names what of the printed JSON becomes the task's XCom: counts and ids, never a person's data."""
        super().__init__(do_xcom_push=bool(facts), **settings)
        # As it is where another task will say them.
        self.commands = [list(one) for one in commands] if isinstance(commands, (list, tuple)) else commands
        self.facts = list(facts)
        self._child: Child | None = None

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG002 - Airflow's own signature
        """Run the programs; the named facts of all of them."""
        found: dict[str, Any] = {}
        for command in self.commands:
            found |= self._run([argument for argument in command if argument])
        return chosen(found, self.facts) if self.facts else None

    def on_kill(self) -> None:
        """Called where the task is cancelled, takes too long, or the scheduler stops."""
        if self._child is not None:
            self._child.ask_to_end()

    def _run(self, arguments: Sequence[str]) -> dict[str, Any]:
        command = [*program(), *arguments]
        self.log.info("starting %s", shlex.join(command))
        self._child = Child(command, environment(), lambda line: self.log.info("%s", line))
        try:
            status = self._child.wait()
        except OrphanedError as error:
            raise AirflowException(str(error)) from error
        if status:
            raise _refuse(arguments, status, self._child.last_words)
        return self._child.facts


def spark_job(task_id: str, *commands: Sequence[str], **settings: Any) -> DatabankOperator:
    """A task whose programs start Spark, one session at a time: it takes a slot of the pool."""
    return DatabankOperator(task_id=task_id, commands=commands, pool=SPARK_POOL, **settings)


def plain_job(task_id: str, *commands: Sequence[str], **settings: Any) -> DatabankOperator:
    """A task whose programs start no Spark."""
    return DatabankOperator(task_id=task_id, commands=commands, **settings)


def program() -> list[str]:
    """The command that runs a module of the platform; AirflowFailException where it cannot be run."""
    command = shlex.split(os.environ.get(PROGRAM_VARIABLE, "")) or [PROGRAM]
    if not os.access(command[0], os.X_OK):
        raise AirflowFailException(
            f"{command[0]} cannot be run here; wanted: the platform's program. On a cluster run `databank cluster "
            f"install` again; elsewhere start Airflow with `./databank up --airflow`, or set {PROGRAM_VARIABLE}"
        )
    return command


def environment() -> dict[str, str]:
    """The task's environment without Airflow's own: its settings and secrets are none of a job's business."""
    kept = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith(("AIRFLOW", "PYTHON"))}
    return {**kept, "DATABANK_PROGRESS_S": PROGRESS_S}


def chosen(found: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The named facts; AirflowFailException where one is missing or they are too big to go through Airflow."""
    if missing := [name for name in names if name not in found]:
        raise AirflowFailException(
            f"the program printed no {', '.join(missing)}; it printed {', '.join(sorted(found)) or 'nothing'}. "
            "Its work is done; correct the facts that the DAG names, then mark the task as succeeded"
        )
    facts = {name: found[name] for name in names}
    size = len(json.dumps(facts).encode())
    if size > MOST_BYTES_OF_FACTS:
        raise AirflowFailException(
            f"the facts {', '.join(names)} take {size} bytes, and {MOST_BYTES_OF_FACTS} may go through Airflow. "
            "The program's work is done; let the DAG name counts and ids alone, then mark the task as succeeded"
        )
    return facts


def _refuse(arguments: Sequence[str], status: int, last_words: Sequence[str]) -> AirflowException:
    """What a failed program means for the task: repeated where that can help, failed for a person to look at else."""
    said = "\n".join(last_words) or "it said nothing; its log is above"
    words = f"`{shlex.join(arguments[:2])}` ended with status {status}: {said}"
    if is_worth_a_retry(status):
        return AirflowException(f"{words}\nThe same call may succeed later")
    return AirflowFailException(f"{words}\nRepeating it cannot succeed: correct what it says, then clear the task")
