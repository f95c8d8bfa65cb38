"""Why two are not one person: the links between them that join nobody, each with its reason, and decisions."""

from __future__ import annotations

import argparse

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.identity import asking, explain_job, looking
from spark_jobs.identity.asking import Asked
from spark_jobs.identity.naming import named
from spark_jobs.settings import Settings

# Links that are listed; all of them are counted.
MOST_LINKS = 100
add_arguments = explain_job.add_arguments
preflight = explain_job.preflight


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """The answer; nothing is written.

    Work: one scan of the map and one of link states, joined to what the two hold; of the links at most MOST_LINKS are
    listed, those without a third identifier between them first.
    """
    asked = asking.opened(spark, settings, args.known_at)
    a, b = (asking.end_of(asked, named(text)) for text in (args.a, args.b))
    head = {"a": a.name, "b": b.name, "persons": [a.person_id, b.person_id], "snapshot_id": asked.snapshot.snapshot_id}
    if a.person_id is not None and a.person_id == b.person_id:
        return {**head, "joined": True, "answer": "they are one person: ask `identity explain`"}
    if a.name == b.name:
        return {**head, "joined": True, "answer": "they are one identifier"}
    sides = looking.sided(asking.members(asked, a), asking.members(asked, b))
    between = looking.idle_between(asked.states(), sides)
    separations = looking.separations_between(asked.ledger(), sides)
    return {
        **head,
        "joined": False,
        "reasons": _counted(between),
        "links": _listed(asked, between),
        "decisions": _decided(asked, separations),
    }


def _counted(between: DataFrame) -> dict[str, int]:
    counted = between.groupBy("state", "reason").agg(F.count(F.lit(1)).alias("links")).orderBy("state", "reason")
    return {f"{row['state']}: {row['reason']}": int(row["links"]) for row in counted.collect()}


def _listed(asked: Asked, between: DataFrame) -> list[dict[str, object]]:
    ordered = between.orderBy(F.col("middle_no").isNotNull(), "middle_no", *looking.ENDS).limit(MOST_LINKS)
    rows = ordered.collect()
    ends = [(int(row["identifier_a"]), int(row["identifier_b"])) for row in rows]
    middles = [int(row["middle_no"]) for row in rows if row["middle_no"] is not None]
    names = asking.names(asked, [*(number for pair in ends for number in pair), *middles])
    told = asking.evidence(asked, ends)
    return [
        {
            "from": names[pair[0]],
            "to": names[pair[1]],
            "by_way_of": names.get(row["middle_no"]),
            "state": row["state"],
            "reason": row["reason"],
            "evidence": told.get(pair, []),
        }
        for row, pair in zip(rows, ends, strict=True)
    ]


def _decided(asked: Asked, separations: DataFrame) -> list[dict[str, object]]:
    rows = separations.orderBy(*looking.ENDS).limit(MOST_LINKS).collect()
    ends = [(int(row["identifier_a"]), int(row["identifier_b"])) for row in rows]
    names = asking.names(asked, [number for pair in ends for number in pair])
    told = asking.evidence(asked, ends)
    return [{"apart": [names[x], names[y]], "evidence": told.get((x, y), [])} for x, y in ends]
