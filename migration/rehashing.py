"""The planned files byte by byte once more, while Spark reads their records: the same size and time prove no content.

One flipped bit may decompress to other lines, as many as before; then source and target would agree about wrong rows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Keys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat

from migration.chunks import Chunk
from migration.ledger import PAGE, batched
from migration.sources.source import Source
from migration.work import Work
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError

log = logging.getLogger(__name__)

READERS = 4


@contextmanager
def rehashed(work: Work, table: Table) -> Iterator[Callable[[], Keys[str, str]]]:
    """Read the files of a table's chunks while the block runs.

    Gives a function that waits for the last one and says which are not the planned ones: the chunk's id, and why.
    """
    ended = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="hashing") as pool:
        found = pool.submit(_others, work, table, ended)
        try:
            yield found.result
        finally:
            ended.set()


def _others(work: Work, table: Table, ended: threading.Event) -> dict[str, str]:
    source, read = work.source, 0
    others: dict[str, str] = {}
    with ThreadPoolExecutor(READERS, thread_name_prefix="hashing") as readers:
        for page in batched(work.ledger.chunks(work.plan.plan_id, target=table.name), PAGE):
            if ended.is_set():
                break
            problems = readers.map(_problem, repeat(source), page, repeat(ended))
            others |= {chunk.chunk_id: problem for chunk, problem in zip(page, problems, strict=True) if problem}
            read += sum(chunk.bytes for chunk in page)
    log.info("read %d bytes of %s again: %d objects are others", read, table.name, len(others))
    return others


def _problem(source: Source, chunk: Chunk, ended: threading.Event) -> str:
    try:
        return source.content_problem(chunk, lambda: not ended.is_set())
    except TerminalError as error:  # it is gone
        return str(error)
