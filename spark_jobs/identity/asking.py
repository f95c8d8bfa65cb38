"""What questions about identity are answered from: tables as one snapshot shows them, and what a name means there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import (
    IDENTIFIERS,
    IDENTITY_DECISIONS,
    IDENTITY_HOMES,
    IDENTITY_LINK_STATES,
    IDENTITY_LINKS,
    PERSONS,
)
from spark_jobs.errors import TerminalError
from spark_jobs.identity import decisions, looking
from spark_jobs.identity.naming import Name, PersonName, ValueName, moment_of, shown, tokens_of
from spark_jobs.people.system_time import known_at, newest_at
from spark_jobs.settings import Settings
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import Snapshot, published_map, published_snapshot, snapshot_known_at

_TOKENS = "scope string, token binary"


@dataclass(frozen=True, slots=True)
class Asked:
    """One snapshot of a lake: every table is read as it was known then."""

    lake: Lake
    snapshot: Snapshot
    key_file: Path

    def map(self) -> DataFrame:
        """Rows of `core.identity_map`."""
        return published_map(self.lake, self.snapshot)

    def states(self) -> DataFrame:
        """Rows of `core.identity_link_states`."""
        return known_at(delta.read(self.lake, IDENTITY_LINK_STATES), self.snapshot.at_us)

    def persons(self) -> DataFrame:
        """The newest row of each person."""
        return newest_at(delta.read(self.lake, PERSONS), ["person_id"], self.snapshot.at_us)

    def homes(self) -> DataFrame:
        """identifier_no, home: the person to whom it belongs when every merge is undone."""
        rows = newest_at(delta.read(self.lake, IDENTITY_HOMES), ["identifier_no"], self.snapshot.at_us)
        return rows.select("identifier_no", F.col("person_id").alias("home"))

    def ledger(self) -> DataFrame:
        """Rows of `core.identity_links`, and decisions that are in force now as such: columns `decisions.LINKED`."""
        links = delta.read(self.lake, IDENTITY_LINKS)
        # A question writes nothing, and a lake where no run came by since this release has no decisions.
        if not delta.exists(self.lake, IDENTITY_DECISIONS):
            return links.select(*decisions.LINKED)
        return decisions.with_decisions(links, decisions.in_force(delta.read(self.lake, IDENTITY_DECISIONS)))

    def identifiers(self) -> DataFrame:
        """Rows of `core.identifiers`."""
        return delta.read(self.lake, IDENTIFIERS)

    def pairs(self, ends: Iterable[tuple[int, int]]) -> DataFrame:
        """identifier_a, identifier_b of a few links that the driver names."""
        ordered = sorted({(min(pair), max(pair)) for pair in ends})
        return self.lake.spark.createDataFrame(ordered, "identifier_a bigint, identifier_b bigint")


@dataclass(frozen=True, slots=True)
class End:
    """One of the two that a question is about: `number` is null where a person was named, `home` where one was not.

    `person_id` is who holds it for good now; None for an identifier that nobody holds so.
    """

    number: int | None
    home: str | None
    person_id: str | None
    name: str


def opened(spark: SparkSession, settings: Settings, known_at_text: str | None = None) -> Asked:
    """The newest snapshot, or the one that was in force at a moment; TerminalError where there is none."""
    lake = Lake(spark, settings.storage_root)
    if known_at_text is None:
        snapshot = published_snapshot(lake)
    else:
        snapshot = snapshot_known_at(lake, moment_of(known_at_text, "--known-at"))
    return Asked(lake, snapshot, settings.root_key_file)


def numbered(asked: Asked, name: ValueName) -> list[Row]:
    """identifier_no, type, scope, token of the identifiers that a name means: one a scope, few.

    One scan of `core.identifiers`, of two columns for its scopes, of the tokens for the numbers.
    """
    mine = asked.identifiers().where(F.col("type") == name.type)
    scopes = [row["scope"] for row in mine.select("scope").distinct().collect()]
    tokens = [(scope, bytearray(token)) for scope, token in tokens_of(name, scopes, asked.key_file)]
    if not tokens:
        return []
    wanted = F.broadcast(asked.lake.spark.createDataFrame(tokens, _TOKENS))
    # (type, scope, token) is the contract's key, so this join cannot add rows.
    found = mine.join(wanted, on=["scope", "token"], how="inner")
    return found.select("identifier_no", "type", "scope", "token").orderBy("scope").collect()


def end_of(asked: Asked, name: Name) -> End:
    """Who or what a name means; TerminalError where it is unknown, or an identifier in several scopes."""
    return _person(asked, name) if isinstance(name, PersonName) else _identifier(asked, name)


def _person(asked: Asked, name: PersonName) -> End:
    found = asked.persons().where(F.col("person_id") == name.person_id).select("survivor_id").collect()
    if not found:
        raise TerminalError(f"no person has the id {name.person_id}; `identity resolve` tells the id of an identifier")
    return End(None, name.person_id, str(found[0]["survivor_id"]), name.person_id)


def _identifier(asked: Asked, name: ValueName) -> End:
    found = numbered(asked, name)
    if len(found) != 1:
        scopes = ", ".join(repr(row["scope"]) for row in found)
        problem = (
            f"is known in several scopes ({scopes}); name one: {name.type}@SCOPE:..." if found else "was never seen"
        )
        raise TerminalError(f"the {name.type} that was given {problem}")
    number = int(found[0]["identifier_no"])
    held = looking.held_for_good(asked.map()).where(F.col("identifier_no") == number).collect()
    told = shown(found[0]["type"], found[0]["scope"], bytes(found[0]["token"]))
    return End(number, None, str(held[0]["person_id"]) if held else None, told)


def members(asked: Asked, end: End) -> DataFrame:
    """identifier_no of all that the end's person holds for good, or of the identifier alone where nobody holds it."""
    if end.person_id is None:
        return asked.identifiers().where(F.col("identifier_no") == F.lit(end.number)).select("identifier_no")
    return looking.held_for_good(asked.map()).where(F.col("person_id") == end.person_id).select("identifier_no")


def names(asked: Asked, numbers: Iterable[int]) -> dict[int, str]:
    """How a few identifiers are named, by number."""
    wanted = sorted(set(numbers))
    if not wanted:
        return {}
    rows = (
        asked.identifiers()
        .where(F.col("identifier_no").isin(*wanted))
        .select("identifier_no", "type", "scope", "token")
    )
    return {int(row[0]): shown(row["type"], row["scope"], bytes(row["token"])) for row in rows.collect()}


def evidence(asked: Asked, ends: Iterable[tuple[int, int]]) -> dict[tuple[int, int], list[dict[str, object]]]:
    """What the ledger says of a few links, by both ends."""
    told: dict[tuple[int, int], list[dict[str, object]]] = {}
    wanted = list(ends)
    if not wanted:
        return told
    for row in looking.evidence(asked.ledger(), asked.pairs(wanted)).collect():
        facts = {name: value for name, value in row.asDict().items() if name not in looking.ENDS and value is not None}
        told.setdefault((int(row["identifier_a"]), int(row["identifier_b"])), []).append(facts)
    return told
