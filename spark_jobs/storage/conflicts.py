"""Writers that meet: the stream commits every few seconds, a migration beside it; who lost the race begins again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from delta.exceptions import (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    DeltaConcurrentModificationException,
    MetadataChangedException,
    ProtocolChangedException,
)

from spark_jobs.errors import RetryableError

log = logging.getLogger(__name__)

ATTEMPTS = 8
# In Java the first is the parent of the others; in Python it is not, whatever its docstring says.
CONFLICTS = (
    DeltaConcurrentModificationException,
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    MetadataChangedException,
    ProtocolChangedException,
)
Result = TypeVar("Result")


def until_committed(action: Callable[[], Result], what: str) -> Result:
    """Run `action`, again where another commit came between; it must be safe to repeat."""
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except CONFLICTS:
            log.info("%s met a concurrent commit, attempt %d of %d", what, attempt + 1, ATTEMPTS)
            time.sleep(attempt)
    raise RetryableError(f"{what}: other writers came between {ATTEMPTS} times; try again when they are calmer")
