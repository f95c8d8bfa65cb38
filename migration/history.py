"""What was done with a plan: each verb leaves a step with its time, how it ended, and who ran it."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from migration.versions import program
from migration.work import Work

log = logging.getLogger(__name__)

RAN = "ran"
SUCCEEDED, FAILED, INTERRUPTED = "succeeded", "failed", "interrupted"
_SAID_CHARACTERS = 500

Facts = dict[str, Any]


def told(work: Work, verb: str, do: Callable[[], Facts]) -> Facts:
    """Do a verb and note it: `ran VERB` with seconds, state, run, person, program's numbers; errors go on."""
    began = time.monotonic()
    try:
        facts = do()
    except BaseException as error:
        state = INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
        said = (str(error).splitlines() or [""])[0][:_SAID_CHARACTERS]
        try:
            _note(work, verb, began, {"state": state, "said": said})
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


def person() -> str:
    """Who runs this, and where."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"
