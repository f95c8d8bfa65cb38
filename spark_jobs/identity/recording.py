"""Decisions go into their table once, and are looked up there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import IDENTITY_DECISIONS
from spark_jobs.identity import decisions
from spark_jobs.identity.asking import Asked
from spark_jobs.identity.decisions import WITHDRAW, decision_id
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Transaction

_ONCE = 1


def known(asked: Asked) -> DataFrame:
    """All rows of `core.identity_decisions`."""
    delta.ensure(asked.lake, IDENTITY_DECISIONS)
    return delta.read(asked.lake, IDENTITY_DECISIONS)


def standing(asked: Asked) -> DataFrame:
    """Rows of decisions in force."""
    return decisions.in_force(known(asked))


def identified(asked: Asked, words: Sequence[str]) -> tuple[str, bool]:
    """The id for these words, and whether it stands already: the first that nobody withdrew."""
    rows, generation = known(asked), 0
    while True:
        one = decision_id(words, generation)
        if rows.where(F.col("withdraws") == one).isEmpty():
            return one, not rows.where(F.col("decision_id") == one).isEmpty()
        generation += 1


def record(asked: Asked, head: dict[str, str | None], pairs: Sequence[tuple[int, int]]) -> None:
    """Append the decision; one that two record at once stands once."""
    given = {"withdraws": None, **head, "snapshot_id": asked.snapshot.snapshot_id}
    rows = decisions.rows_of(given, pairs, datetime.now(UTC))
    frame = asked.lake.spark.createDataFrame(rows, IDENTITY_DECISIONS.ddl)
    once = Transaction(f"identity/decision/{head['decision_id']}", _ONCE)
    delta.append(frame, asked.lake, IDENTITY_DECISIONS, once=once)


def kind_of(asked: Asked, one: str) -> str | None:
    """The kind of a decision in force; None where there is none with this id."""
    found = standing(asked).where(F.col("decision_id") == one).select("kind").limit(1).collect()
    return str(found[0]["kind"]) if found else None


def is_withdrawn(asked: Asked, one: str) -> bool:
    """True where a decision was made, and another one ended it."""
    return not known(asked).where((F.col("kind") == WITHDRAW) & (F.col("withdraws") == one)).isEmpty()
