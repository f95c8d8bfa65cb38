"""What was done with a plan: each verb leaves a step with its time, how it ended, and who ran it.

A verification leaves two steps a table, when it begins and when it ends: while it runs, and where it is red or was
killed, an older green one proves nothing any more.
"""

from __future__ import annotations

import getpass
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from migration.ledger import Step
from migration.versions import program
from migration.work import Work
from spark_jobs.errors import TerminalError

log = logging.getLogger(__name__)

RAN = "ran"
SUCCEEDED, FAILED, INTERRUPTED = "succeeded", "failed", "interrupted"
VERIFYING, VERIFIED, NOT_VERIFIED = "verifying", "verified", "verification failed"
_SAID_CHARACTERS = 500

Facts = dict[str, Any]


def told(work: Work, verb: str, do: Callable[[], Facts]) -> Facts:
    """Do a verb and note it: `ran VERB` with seconds, state, run, person, program's numbers; errors go on."""
    began = time.monotonic()
    try:
        facts = do()
    except BaseException as error:
        state = INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
        try:
            _note(work, verb, began, {"state": state, "said": (str(error).splitlines() or [""])[0][:_SAID_CHARACTERS]})
        except SQLAlchemyError:  # perhaps the very error that goes on
            log.warning("the ledger did not take what happened to %s", verb)
        raise
    log.info("step %s: %.1f s", verb, time.monotonic() - began)
    numbers = {name: value for name, value in facts.items() if isinstance(value, (int, float))}
    _note(work, verb, began, {"state": SUCCEEDED, **numbers})
    return facts


def _note(work: Work, verb: str, began: float, facts: Facts) -> None:
    who = {"run": work.run_id, "by": person(), "program": program()}
    seconds = round(time.monotonic() - began, 1)
    work.ledger.record_step(work.plan.plan_id, f"{RAN} {verb}", {**who, "seconds": seconds, **facts})


def told_verification(work: Work, table: str, verify: Callable[[], object]) -> str | None:
    """Verify a table and note that it began, and what a red one says, which is returned; `verify` notes a green one."""
    facts = {"table": table}
    work.ledger.record_step(work.plan.plan_id, VERIFYING, facts)
    try:
        verify()
    except TerminalError as error:
        said = " ".join(str(error).split())[:_SAID_CHARACTERS]
        work.ledger.record_step(work.plan.plan_id, NOT_VERIFIED, {**facts, "said": said})
        return str(error)
    return None


def verifications(steps: Iterable[Step]) -> dict[str, Step]:
    """The newest verification of each table: only one that is `VERIFIED` proves anything."""
    return {step.facts["table"]: step for step in steps if step.name in (VERIFYING, VERIFIED, NOT_VERIFIED)}


def person() -> str:
    """Who runs this, and where."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"
