"""Follow the lake: load whatever is published, workspace by workspace, for as long as the process lives."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from spark_jobs.errors import PlatformError
from spark_jobs.ingest.systemd import tell

log = logging.getLogger(__name__)

Load = Callable[[str], Mapping[str, Any]]


def follow(
    workspaces: Sequence[str], load: Load, *, every_s: float, rounds: Iterable[object] = itertools.repeat(None)
) -> None:
    """Look at each workspace every `every_s` seconds, once for each of `rounds` (without end by default).

    What `load` cannot do, whatever a person must change first, is said once and tried again: nothing is published yet,
    the lake is away, another loader is at work. What stands is told to systemd.
    """
    said: dict[str, str] = {}
    for _ in rounds:
        for workspace in workspaces:
            stands = _stands(workspace, load)
            if stands != said.get(workspace):
                log.info("%s", stands)
                said[workspace] = stands
        tell("; ".join(said.values()).replace("\n", " "))
        time.sleep(every_s)


def _stands(workspace: str, load: Load) -> str:
    try:
        return f"{workspace}: publication {load(workspace)['publication']} is served"
    except PlatformError as error:
        return f"{workspace}: {error}"
