"""The verifier: checks what is about to be published by other means than those that computed it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

from spark_jobs.errors import TerminalError
from spark_jobs.identity.batches import Numbers, in_whole_groups
from spark_jobs.identity.declared import Rules
from spark_jobs.identity.reasons import groundless
from spark_jobs.identity.rules import ALWAYS, REDUNDANT, USED, unique_key

_COUNT = StructType([StructField("name", StringType()), StructField("number", LongType())])


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a run wants to publish, as committed: links to judge, decisions, states, rows of `barred`, map rows.

    `survivors`: person_id, survivor_id of everybody who was ever minted.
    """

    pairs: DataFrame
    separations: DataFrame
    states: DataFrame
    identifiers: DataFrame
    unheld: DataFrame
    wanted: DataFrame
    survivors: DataFrame
    rules: Rules


def violations(candidate: Candidate) -> DataFrame:
    """name, number of each rule that is broken; all numbers are 0 where everything holds."""
    lasting = candidate.wanted.where(F.col("valid_from") == F.expr(ALWAYS))
    checks = {
        "persons with two values of a unique type": _twice_unique(lasting, candidate.rules),
        "links without exactly one state": _misjudged(candidate.pairs, candidate.states),
        "joining links between two persons": _torn(candidate.states, lasting),
        "separations whose ends one person holds": _together(candidate.separations, lasting),
        "links that join nobody, for a reason that does not hold": groundless(
            candidate.states, candidate.separations, candidate.identifiers, lasting, rules=candidate.rules
        ),
        "spans of one identifier that overlap": _overlapping(candidate.wanted),
        "identifiers neither held by one person nor shared": _displaced(candidate, lasting),
        "map rows of persons that are not in the registry": _unregistered(candidate),
        "ids that do not resolve to a living person in one step": _astray(candidate.survivors),
    }
    return reduce(DataFrame.unionByName, (_counted(rows, name) for name, rows in checks.items()))


def connections(candidate: Candidate) -> DataFrame:
    """name, number: three counts, equal exactly where used links form one tree in each person."""
    lasting = candidate.wanted.where(F.col("valid_from") == F.expr(ALWAYS))
    used = candidate.states.where(F.col("state") == USED)
    persons = lasting.agg((F.count("identifier_no") - F.count_distinct("person_no")).alias("number"))
    person = lasting.select(F.col("identifier_no").alias("identifier_a"), "person_no")
    placed = (
        used.join(person, on="identifier_a", how="inner").repartition("person_no").sortWithinPartitions("person_no")
    )
    reached = placed.select("person_no", "identifier_a", "identifier_b").mapInArrow(_reached, "number bigint")
    return (
        persons.select(F.lit("identifiers beyond the first of their person").alias("name"), "number")
        .unionByName(_counted(used, "used links"))
        .unionByName(
            reached.agg(F.coalesce(F.sum("number"), F.lit(0)).alias("number")).select(
                F.lit("identifiers that used links lead to").alias("name"), "number"
            )
        )
    )


def problems_of(broken: dict[str, int], connected: dict[str, int]) -> list[str]:
    """What of `violations` and `connections` may not be."""
    problems = [f"{number} {name}" for name, number in broken.items() if number]
    if len(set(connected.values())) != 1:
        problems.append("; ".join(f"{number} {name}" for name, number in connected.items()) + ", wanted equal numbers")
    return problems


def certify(broken: dict[str, int], connected: dict[str, int]) -> dict[str, int]:
    """The certificate; TerminalError where a rule is broken: nothing may be published then."""
    if problems := problems_of(broken, connected):
        raise TerminalError(
            f"identity is not published, its verifier found: {'; '.join(problems)}; the tables still hold the former "
            "snapshot; keep the ledger as it is and report this with the run's row of ops.runs"
        )
    return {**broken, **connected}


def _counted(rows: DataFrame, name: str) -> DataFrame:
    return rows.agg(F.count(F.lit(1)).alias("number")).select(F.lit(name).alias("name"), "number")


def _twice_unique(lasting: DataFrame, rules: Rules) -> DataFrame:
    keyed = lasting.withColumn("unique", unique_key(F.col("type"), F.col("scope"), rules)).where("unique != 0")
    return keyed.groupBy("person_id", "unique").agg(F.count(F.lit(1)).alias("values")).where("values > 1")


def _misjudged(pairs: DataFrame, states: DataFrame) -> DataFrame:
    ends = ["identifier_a", "identifier_b"]
    given = pairs.select(*ends, F.lit(1).alias("given"), F.lit(0).alias("judged"))
    judged = states.select(*ends, F.lit(0).alias("given"), F.lit(1).alias("judged"))
    both = given.unionByName(judged).groupBy(*ends).agg(F.sum("given").alias("given"), F.sum("judged").alias("judged"))
    return both.where((F.col("given") != 1) | (F.col("judged") != 1))


def _torn(states: DataFrame, lasting: DataFrame) -> DataFrame:
    a = lasting.select(F.col("identifier_no").alias("identifier_a"), F.col("person_id").alias("a_person"))
    b = lasting.select(F.col("identifier_no").alias("identifier_b"), F.col("person_id").alias("b_person"))
    joining = states.where(F.col("state").isin(USED, REDUNDANT))
    # Where an identifier stood twice, the check of displaced identifiers goes red; here doubles only count twice.
    ends = joining.join(a, on="identifier_a", how="left").join(b, on="identifier_b", how="left")
    return ends.where(~F.coalesce(F.col("a_person") == F.col("b_person"), F.lit(False)))


def _together(separations: DataFrame, lasting: DataFrame) -> DataFrame:
    a = lasting.select(F.col("identifier_no").alias("identifier_a"), F.col("person_id").alias("a_person"))
    b = lasting.select(F.col("identifier_no").alias("identifier_b"), F.col("person_id").alias("b_person"))
    ends = separations.join(a, on="identifier_a", how="inner").join(b, on="identifier_b", how="inner")
    return ends.where(F.col("a_person") == F.col("b_person"))


def _overlapping(wanted: DataFrame) -> DataFrame:
    sliced = wanted.where(F.col("valid_from") != F.expr(ALWAYS))
    following = F.lead("valid_from").over(Window.partitionBy("identifier_no").orderBy("valid_from", "valid_to"))
    spans = sliced.withColumn("next_from", following)
    return spans.where((F.col("next_from") < F.col("valid_to")) | (F.col("valid_to") <= F.col("valid_from")))


def _displaced(candidate: Candidate, lasting: DataFrame) -> DataFrame:
    """Every identifier is held for good by one person, or is on the list of unheld ones: once, and not both."""
    known = candidate.identifiers.select("identifier_no", F.lit(1).alias("known"), F.lit(0).alias("placed"))
    held = lasting.select("identifier_no", F.lit(0).alias("known"), F.lit(1).alias("placed"))
    unheld = candidate.unheld.select("identifier_no", F.lit(0).alias("known"), F.lit(1).alias("placed"))
    every = known.unionByName(held).unionByName(unheld).groupBy("identifier_no")
    return every.agg(F.sum("known").alias("known"), F.sum("placed").alias("placed")).where("known != 1 OR placed != 1")


def _unregistered(candidate: Candidate) -> DataFrame:
    return candidate.wanted.join(_living(candidate.survivors), on="person_id", how="left_anti")


def _astray(survivors: DataFrame) -> DataFrame:
    living = _living(survivors).withColumnRenamed("person_id", "survivor_id")
    return survivors.join(living, on="survivor_id", how="left_anti")


def _living(survivors: DataFrame) -> DataFrame:
    return survivors.where(F.col("person_id") == F.col("survivor_id")).select("person_id")


def _reached(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for person, a, b in in_whole_groups(batches):
        number = reached_by(person, a, b)
        yield pa.RecordBatch.from_arrays([pa.array([number], pa.int64())], names=["number"])


def reached_by(person: Numbers, a: Numbers, b: Numbers) -> int:
    """Nodes minus connected groups, by spreading the smallest label until nothing moves: no union-find here.

    Nodes are told apart by person, so that a link that leaves its person cannot help another one.
    """
    ends = np.concatenate([np.stack([person, a]), np.stack([person, b])], axis=1)
    nodes, dense = np.unique(ends, axis=1, return_inverse=True)
    dense = dense.reshape(-1)
    x, y = dense[: a.size], dense[a.size :]
    label = np.arange(nodes.shape[1])
    while True:
        smaller = np.minimum(label[x], label[y])
        spread = label.copy()
        np.minimum.at(spread, x, smaller)
        np.minimum.at(spread, y, smaller)
        # Labels are nodes: following them twice halves the way that is left.
        spread = spread[spread]
        if np.array_equal(spread, label):
            return int(label.size - np.unique(label).size)
        label = spread
