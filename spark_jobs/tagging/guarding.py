"""What left its bands is noted, and keeps tags from being published until a person has accepted just that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.derived import TAG_DRIFT
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.drift import Attempt, Finding

REFUSED, ACCEPTED = "refused", "accepted"
_ONCE = 1


def held_back(lake: Lake, findings: Sequence[Finding], attempt: Attempt) -> tuple[str, ...]:
    """The tags of findings that are all accepted; TerminalError, with each that is not, where one is not.

    What is refused is noted first, so that a person can accept it.
    """
    if not findings:
        return ()
    accepted = {row["finding"] for row in noted(lake, attempt.workspace, attempt.number, ACCEPTED).collect()}
    refused = [one for one in findings if one.finding not in accepted]
    if not refused:
        return tuple(one.tag for one in findings)
    note(lake, attempt, refused)
    raise TerminalError(
        f"tags of {attempt.workspace}: nothing was published, shares left their bands. Look at data and rules "
        "(`tags drift`, `tags estimate`). Where they are right, change the bands; or accept just this, and start the "
        "run again:\n  " + "\n  ".join(f"{one.told}\n    {_how(one, attempt)}" for one in refused)
    )


def _how(one: Finding, attempt: Attempt) -> str:
    words = f"databank tags drift --workspace {attempt.workspace} --accept {one.tag} --finding {one.finding}"
    return f"{words} --author NAME --reason TEXT"


def noted(lake: Lake, workspace: str, number: int, kind: str) -> DataFrame:
    """Rows of `tags.drift` of one kind about the publication that would have a number."""
    delta.ensure(lake, TAG_DRIFT)
    rows = delta.read(lake, TAG_DRIFT)
    return rows.where((F.col("workspace_id") == workspace) & (F.col("number") == number) & (F.col("kind") == kind))


def note(lake: Lake, attempt: Attempt, refused: Iterable[Finding]) -> None:
    """Note what is refused; what was refused before stands once."""
    for one in refused:
        levels = None if one.classes else json.dumps([asdict(left) for left in one.left], ensure_ascii=False)
        facts = {"finding": one.finding, "number": attempt.number, "tag": one.tag, "rule": one.rule, "levels": levels}
        _append(lake, {**facts, "workspace_id": attempt.workspace, "base_at": moment_of(attempt.base)}, REFUSED)


def accept(lake: Lake, refused: dict[str, object], *, author: str, reason: str) -> None:
    """Note that a person accepts what was refused. In: its row of `tags.drift`; twice is once."""
    _append(lake, {**refused, "author": author, "reason": reason}, ACCEPTED)


def _append(lake: Lake, facts: dict[str, object], kind: str) -> None:
    row = {"author": None, "reason": None, **facts, "kind": kind, "noted_at": datetime.now(UTC)}
    rows = lake.spark.createDataFrame([tuple(row[name] for name in TAG_DRIFT.column_names)], TAG_DRIFT.ddl)
    once = Transaction(f"tags/drift/{facts['workspace_id']}/{facts['finding']}/{kind}", _ONCE)
    delta.append(rows, lake, TAG_DRIFT, once=once)
