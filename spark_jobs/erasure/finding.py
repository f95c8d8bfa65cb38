"""Which rows of a table concern the erased persons, as functions from DataFrame to DataFrame.

Out of each: the table's columns as they are to be, and STAYS: false for rows that go as a whole, true for rows of
others that only lose what is the persons'. Columns of the key are never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.audiences import AUDIENCES, CHUNK_BITS
from spark_jobs.contracts.erasing import RULES, Rule
from spark_jobs.contracts.identity import PERSON_EVENTS
from spark_jobs.contracts.operations import RAW_EVENTS
from spark_jobs.contracts.schema import Table
from spark_jobs.ingest.erased import REMOVED
from spark_jobs.ingest.messages import parse_messages
from spark_jobs.people import bitmaps
from spark_jobs.protection.tombstones import ALWAYS_US

STAYS = "_stays"
_MERGE, _HANDOVER = "merge", "handover"
_AS_MESSAGE = Rule("subject", listed="identifiers", moment="occurred_at")


@dataclass(frozen=True, slots=True)
class Targets:
    """Who goes. Both are few beside any table, and are sent to every task.

    identifiers: identifier_no, type, scope, token, since_us, until_us (when the person held it, microseconds).
    persons: person_id (merged ones included), person_no.
    """

    identifiers: DataFrame
    persons: DataFrame

    @property
    def for_good(self) -> DataFrame:
        """identifier_no, type, scope, token of identifiers that go themselves; shared ones stay with the others."""
        mine = self.identifiers.where(F.col("since_us") == F.lit(ALWAYS_US))
        return mine.select("identifier_no", "type", "scope", "token").distinct()


def concerned(rows: DataFrame, table: Table, targets: Targets) -> DataFrame:
    """The rows of a table that concern the persons. Bytes that are sealed are found by `opening.sealed_rows`."""
    rule = RULES[table]
    if rule.by == "subject":
        return _of_subjects(rows, table, rule, targets)
    if rule.by == "message":
        return _of_messages(rows, targets)
    if rule.by == "history":
        return _of_history(rows, targets)
    if rule.by == "bitmap":
        return _of_bitmaps(rows, targets)
    if rule.by == "ids":
        return _of_ids(rows, table, rule, targets)
    raise ValueError(f"{table.name}: rows are not found by {rule.by!r}")


def place_of(table: Table) -> list[str]:
    """Columns that tell a row from the others, and the partition it lies in."""
    origin = [name for name in ("origin", "origin_position") if name in table.column_names]
    return list(dict.fromkeys([*table.key, *origin, *table.partition_by]))


def _of_subjects(rows: DataFrame, table: Table, rule: Rule, targets: Targets) -> DataFrame:
    touched = _touched(rows, table, rule, targets)
    if not rule.listed:
        return touched.select(*table.column_names, STAYS)
    left = F.filter(rule.listed, lambda one: ~_is_in("_gone", one.getField("token")))
    return touched.withColumn(rule.listed, left).select(*table.column_names, STAYS)


def _of_messages(rows: DataFrame, targets: Targets) -> DataFrame:
    """Raw messages, parsed as the stream does it; of those of others the token's digits are taken out of the text."""
    received, value = F.col("received_at").alias("timestamp"), F.encode("body", "UTF-8").alias("value")
    # What is refused was never written here, so the workspaces do not matter.
    parsed = parse_messages(rows.select("topic", "partition", "offset", received, value), workspaces=("",))
    touched = _touched(parsed, RAW_EVENTS, _AS_MESSAGE, targets)
    body = F.aggregate(
        "_gone", F.col("body"), lambda so_far, token: F.replace(so_far, F.lower(F.hex(token)), F.lit(REMOVED))
    )
    return touched.withColumn("body", body).select(*RAW_EVENTS.column_names, STAYS)


def _touched(rows: DataFrame, table: Table, rule: Rule, targets: Targets) -> DataFrame:
    """The table's columns, STAYS, and `_gone` (the tokens that were found): one row each."""
    subject = F.array(_one(F.col("subject_token"), is_subject=True))
    ones = subject
    if rule.listed:
        nothing = F.array().cast("array<struct<_token:binary,_is_subject:boolean>>")
        others = F.transform(rule.listed, lambda one: _one(one.getField("token"), is_subject=False))
        ones = F.concat(subject, F.coalesce(others, nothing))
    at = F.unix_micros(F.col(rule.moment).cast("timestamp")) if rule.moment else F.lit(None).cast("bigint")
    each = rows.select("*", at.alias("_at"), F.explode(ones).alias("_one"))
    named = each.withColumns({"_token": F.col("_one._token"), "_is_subject": F.col("_one._is_subject")})
    wanted = targets.identifiers.select(F.col("token").alias("_token"), "since_us", "until_us").distinct()
    # An identifier may be held in several spans: each adds a row, which the groups take together again.
    found = named.join(F.broadcast(wanted), on="_token", how="inner")
    is_for_good = F.col("since_us") == F.lit(ALWAYS_US)
    is_in_span = F.col("_is_subject") & (F.col("_at") >= F.col("since_us")) & (F.col("_at") < F.col("until_us"))
    hits = found.where(is_for_good | F.coalesce(is_in_span, F.lit(False)))
    row = F.first(F.struct(*table.column_names)).alias("_row")
    grouped = hits.groupBy(*place_of(table)).agg(
        row, F.max("_is_subject").alias("_theirs"), F.collect_set("_token").alias("_gone")
    )
    return grouped.select("_row.*", (~F.col("_theirs")).alias(STAYS), "_gone")


def _one(token: Column, *, is_subject: bool) -> Column:
    return F.struct(token.alias("_token"), F.lit(is_subject).alias("_is_subject"))


def _of_ids(rows: DataFrame, table: Table, rule: Rule, targets: Targets) -> DataFrame:
    ones = [_named("person", F.col(name)) for name in rule.persons]
    ones += [_named("number", F.col(name)) for name in rule.numbers]
    ones += [_named("token", F.hex(name)) for name in rule.tokens]
    persons = targets.persons.select(_named("person", F.col("person_id")).alias("_one"))
    numbers = targets.for_good.select(_named("number", F.col("identifier_no")).alias("_one"))
    tokens = targets.for_good.select(_named("token", F.hex("token")).alias("_one"))
    wanted = persons.unionByName(numbers).unionByName(tokens).distinct()
    each = rows.select("*", F.explode(F.array(*ones)).alias("_one"))
    found = each.join(F.broadcast(wanted), on="_one", how="left_semi").dropDuplicates(place_of(table))
    theirs = found.select(*table.column_names, F.lit(False).alias(STAYS))
    return theirs.unionByName(_emptied(rows, table, rule, targets)) if rule.emptied else theirs


def _emptied(rows: DataFrame, table: Table, rule: Rule, targets: Targets) -> DataFrame:
    """Rows of others that name one of the persons beside their own, without that. Semi and anti joins add no rows."""
    ids = targets.persons.select("person_id").distinct()
    others = rows.join(F.broadcast(ids), on="person_id", how="left_anti")
    named = ids.withColumnRenamed("person_id", rule.emptied)
    found = others.join(F.broadcast(named), on=rule.emptied, how="left_semi")
    empty = F.lit(None).cast(table.types[rule.emptied])
    return found.withColumn(rule.emptied, empty).select(*table.column_names, F.lit(True).alias(STAYS))


def _named(kind: str, value: Column) -> Column:
    """A master id, number or token as a text that cannot be taken for another kind's; null where it is."""
    return F.concat(F.lit(f"{kind}/"), value.cast("string"))


def _of_history(rows: DataFrame, targets: Targets) -> DataFrame:
    """Merges, splits and moves: those of the persons go; those of others who once were the persons' are told without.

    Who merged into an erased person and moved on to another has merged into that other; who came back to its own has
    never left. So merges, splits and moves in order still give the registry.
    """
    flagged = rows
    for name in ("person_id", "from_person_id", "to_person_id"):
        ids = targets.persons.select(F.col("person_id").alias(name), F.lit(True).alias(f"_{name}")).distinct()
        flagged = flagged.join(F.broadcast(ids), on=name, how="left")
    for name in ("identifier_a", "identifier_b"):
        ends = targets.for_good.select(F.col("identifier_no").alias(name), F.lit(True).alias(f"_{name}")).distinct()
        flagged = flagged.join(F.broadcast(ends), on=name, how="left")
    own, came_from, went_to, a, b = (
        F.coalesce(f"_{name}", F.lit(False))
        for name in ("person_id", "from_person_id", "to_person_id", "identifier_a", "identifier_b")
    )
    is_back = (F.col("to_person_id") == F.col("person_id")) | (F.col("kind") == _HANDOVER)
    goes, is_shown_by = own | went_to | (came_from & is_back), a | b
    # What was there before stands beside what is to be: each column is computed of the row as it was found.
    changed = {
        "from_person_id": F.when(came_from, F.col("person_id")).otherwise(F.col("from_person_id")),
        "kind": F.when(came_from, F.lit(_MERGE)).otherwise(F.col("kind")),
        "identifier_a": F.when(~is_shown_by, F.col("identifier_a")),
        "identifier_b": F.when(~is_shown_by, F.col("identifier_b")),
        "event_id": F.when(~is_shown_by, F.col("event_id")),
    }
    columns = [changed.get(name, F.col(name)).alias(name) for name in PERSON_EVENTS.column_names]
    touched = reduce(Column.__or__, (own, came_from, went_to, a, b))
    return flagged.where(touched).select(*columns, (~goes).alias(STAYS))


def _of_bitmaps(rows: DataFrame, targets: Targets) -> DataFrame:
    """Chunks that hold one of the persons, without them; `bitmaps.LEFT` says how many. A chunk without members goes."""
    chunk = F.shiftright("person_no", CHUNK_BITS)
    remainder = F.col("person_no").bitwiseAND(F.lit((1 << CHUNK_BITS) - 1)).cast("int")
    numbers = targets.persons.select(chunk.alias("chunk"), remainder.alias("remainder")).distinct()
    gone = numbers.groupBy("chunk").agg(F.collect_list("remainder").alias("gone"))
    # A chunk has one row on the right, so this join cannot add rows.
    held = rows.join(F.broadcast(gone), on="chunk", how="inner").select(*AUDIENCES.column_names, "gone")
    ddl = ", ".join(f"`{name}` {kind}" for name, kind in AUDIENCES.types.items())
    found = held.mapInArrow(bitmaps.taking_out(AUDIENCES.column_names), f"{ddl}, {bitmaps.LEFT} bigint")
    return found.withColumn(STAYS, F.col("persons") > 0)


def _is_in(array: str, value: Column) -> Column:
    return F.coalesce(F.array_contains(F.col(array), value), F.lit(False))


def numbers() -> tuple[Column, Column]:
    """Aggregates over found rows: `removed`, `changed`."""
    return F.count_if(~F.col(STAYS)).alias("removed"), F.count_if(F.col(STAYS)).alias("changed")
