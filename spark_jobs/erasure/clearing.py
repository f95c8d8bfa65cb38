"""One table is cleared in one commit: files that hold such a row are written anew without it.

The rows are found before the transaction begins, which is then short: a stream that commits every few seconds would
overtake a long one each time. Nothing of the persons comes meanwhile, for their tombstones are in force by then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.schema import Table
from spark_jobs.erasure.finding import STAYS, numbers, place_of
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.commits import newest_commits
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Lake, Transaction

log = logging.getLogger(__name__)

KIND = "erasure"
# Among so many commits is a run's own, however busy the stream was before the run was started again.
LOOKED_AT = 5_000


@dataclass(frozen=True, slots=True)
class Cleared:
    """Since which version the rows are gone, and how many; `changed` rows of others lost what was the persons'."""

    version: int | None
    removed: int
    changed: int


def _nothing_asked(_transaction: Append) -> None:
    """Whoever clears may commit."""


def _nothing_more(_version: int) -> Sequence[Transaction]:
    return ()


def _nothing_kept(_hits: DataFrame) -> None:
    """Nobody wants to know which rows go."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a table is cleared: `name` (a run's id, or it and the number of an attempt) makes the commit happen once.

    check: sees the transaction before it does anything; more: transactions that go into the same commit, by the version
    that it begins at; before: sees the rows that were found, and must be safe to repeat.
    """

    name: str
    check: Callable[[Append], None] = _nothing_asked
    more: Callable[[int], Sequence[Transaction]] = _nothing_more
    before: Callable[[DataFrame], None] = _nothing_kept


def cleared(lake: Lake, table: Table, find: Callable[[DataFrame], DataFrame], way: Way) -> Cleared:
    """Take out of the table what `find` finds in it (rows as `finding` gives them); once for each name of a way."""
    once = Transaction(f"{KIND}/{way.name}/{table.name}", 1)
    delta.ensure(lake, table)  # a release before this one may have written it last
    if _is_done(lake, table, once):
        return told(lake, table, way.name)
    version = delta.current_version(lake, table)
    hits = find(delta.read(lake, table, version=version)).persist()
    try:
        found = hits.agg(*numbers()).collect()[0]
        counts = Cleared(version, int(found["removed"]), int(found["changed"]))
        if not counts.removed and not counts.changed:
            return counts
        way.before(hits)
        what = f"erasing from {table.name}"
        done = until_committed(lambda: _commit(lake, table, hits, counts, once=once, way=way), what)
    finally:
        hits.unpersist()
    log.info("%s: %d rows went, %d of others lost something", table.name, counts.removed, counts.changed)
    return Cleared(done, counts.removed, counts.changed)


def told(lake: Lake, table: Table, name: str) -> Cleared:
    """What the commits of one run say that they took out; nothing, and no version, where there is none.

    `name` is that of a way: the run's id, and after a `/` which of its attempts.
    """
    run_id = name.partition("/")[0]
    commits = newest_commits(lake, table, limit=LOOKED_AT)
    ours = [one for one in commits if str(one.facts.get(KIND, "")).partition("/")[0] == run_id]
    removed, changed = (sum(int(one.facts[key]) for one in ours) for key in ("removed", "changed"))
    return Cleared(max((one.version for one in ours), default=None), removed, changed)


def _is_done(lake: Lake, table: Table, once: Transaction) -> bool:
    with Append(lake, table) as one:
        return one.newest(once.app_id) >= once.version


def _commit(lake: Lake, table: Table, hits: DataFrame, found: Cleared, *, once: Transaction, way: Way) -> int:
    on = place_of(table)
    with Append(lake, table) as one:
        way.check(one)
        if one.newest(once.app_id) >= once.version:  # asked, it is a promise: of two at once one commits
            return one.version
        stays = hits.where(F.col(STAYS))
        if found.changed and one.version != found.version:
            # What was taken out meanwhile for another reason must not come back. A semi join adds no rows.
            there = delta.read(lake, table, version=one.version).select(*on)
            stays = stays.join(there, on=on, how="left_semi")
        one.take_out(hits.select(*on).distinct(), on=on)
        if found.changed:
            one.write(stays)
        facts = {"kind": KIND, KIND: way.name, "removed": found.removed, "changed": found.changed}
        return one.commit(once, *way.more(one.version), facts=facts)
