"""What people decided about identity: which decisions are in force, and what they mean to a run."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import IDENTITY_DECISIONS
from spark_jobs.identity.rules import FROZEN, JOINED, NEGATIVE

UNMERGE, JOIN, LOCK, WITHDRAW = "unmerge", "join", "lock", "withdraw"
OF_IDENTIFIERS, OF_PERSONS = "identifiers", "persons"
# What each kind is in the ledger of links.
LINK_KINDS = {UNMERGE: NEGATIVE, JOIN: JOINED, LOCK: FROZEN}
SOURCE = "decision"
# Fixed for ever: another value would record a decision that stands once more.
_NAMESPACE = uuid.UUID("5d5c1c4e-2c0b-4d53-8a1e-0b0f3a6b7c21")
LINKED = (
    "identifier_a",
    "identifier_b",
    "kind",
    "authenticated",
    "source",
    "event_id",
    "observations",
    "first_seen_at",
    "last_seen_at",
    "author",
    "reason",
)


def decision_id(words: Sequence[str], generation: int) -> str:
    """The id of a decision: of its kind, the two, scope, author and reason; a call that is repeated decides once.

    `generation`: how many decisions of the same words were withdrawn.
    """
    return str(uuid.uuid5(_NAMESPACE, json.dumps([*words, generation])))


def rows_of(head: dict[str, str | None], pairs: Sequence[tuple[int, int]], at: datetime) -> list[tuple[object, ...]]:
    """Rows of `core.identity_decisions`: one per pair, in order; one without a pair where there is none."""
    ordered: list[tuple[int | None, int | None]] = sorted({(min(pair), max(pair)) for pair in pairs})
    return [
        tuple(
            {**head, "place": place, "identifier_a": a, "identifier_b": b, "decided_at": at}[name]
            for name in IDENTITY_DECISIONS.column_names
        )
        for place, (a, b) in enumerate(ordered or [(None, None)])
    ]


def in_force(decisions: DataFrame) -> DataFrame:
    """Rows of decisions that hold: none that another withdraws."""
    gone = decisions.where(F.col("withdraws").isNotNull()).select(F.col("withdraws").alias("decision_id"))
    return decisions.where(F.col("kind") != WITHDRAW).join(gone, on="decision_id", how="left_anti")


def as_links(decisions: DataFrame) -> DataFrame:
    """Rows of decisions in force as links of the ledger, columns LINKED; `event_id` is the decision's id."""
    kinds = F.create_map(*[F.lit(word) for pair in LINK_KINDS.items() for word in pair])
    return decisions.where(F.col("identifier_a") != F.col("identifier_b")).select(
        "identifier_a",
        "identifier_b",
        kinds[F.col("kind")].alias("kind"),
        F.lit(True).alias("authenticated"),
        F.lit(SOURCE).alias("source"),
        F.col("decision_id").alias("event_id"),
        F.lit(1).cast("bigint").alias("observations"),
        F.col("decided_at").alias("first_seen_at"),
        F.col("decided_at").alias("last_seen_at"),
        "author",
        "reason",
    )


def with_decisions(ledger: DataFrame, decisions: DataFrame) -> DataFrame:
    """The ledger with what was decided, columns LINKED. In: rows of `core.identity_links`; decisions in force."""
    return ledger.select(*LINKED).unionByName(as_links(decisions))


def locks(decisions: DataFrame) -> DataFrame:
    """identifier_no, lock (the decision's id) of identifiers that are frozen: one row each. In: decisions in force."""
    frozen = decisions.where(F.col("kind") == LOCK)
    ends = F.explode(F.array("identifier_a", "identifier_b")).alias("identifier_no")
    return frozen.select(ends, "decision_id").groupBy("identifier_no").agg(F.min("decision_id").alias("lock"))


def with_locks(identifiers: DataFrame, locks: DataFrame) -> DataFrame:
    """Add `lock`: the lock that an identifier is frozen by; null for all others."""
    # locks has an identifier once, so this join cannot add rows; people decide them one by one, so they are few.
    return identifiers.join(F.broadcast(locks), on="identifier_no", how="left")
