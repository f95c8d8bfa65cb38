"""Publications say how many rows a generation has, and readers refuse one that lacks some: they are told what went."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from spark_jobs.contracts.audiences import AUDIENCE_PUBLICATIONS, AUDIENCES, PERSONS, REFUSED
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_PUBLICATIONS
from spark_jobs.contracts.schema import Table
from spark_jobs.erasure.finding import STAYS
from spark_jobs.erasure.plan import Plan
from spark_jobs.people.bitmaps import LEFT

_OF_TAGS = "workspace_id string, generation string, gone bigint"
_OF_AUDIENCES = "workspace_id string, generation string, audience string, gone bigint"
_LEFT = "workspace_id string, generation string, audiences string, persons bigint, refused bigint"
# Values of a person in the topic of tags' state.
TOLD = "workspace_id string, tag string, person_id string"

Gone = Mapping[tuple[str, str], Mapping[str, int]]


def keep(plan: Plan, table: Table, hits: DataFrame) -> None:
    """Keep what publications, or topics, must be told of rows that are about to go. In: rows of `finding.concerned`."""
    if table is PERSON_TAGS:
        plan.keep(hits.groupBy("workspace_id", "generation").agg(F.count(F.lit(1)).alias("gone")), "tags")
    if table is AUDIENCES:
        groups = hits.groupBy("workspace_id", "generation", "audience")
        plan.keep(groups.agg(F.sum(LEFT).alias("gone")), "audiences")
    if table is TAG_CHANGES:
        plan.keep(hits.select("workspace_id", "tag", "person_id").distinct(), "told")


def of_tags(plan: Plan, rows: DataFrame) -> DataFrame:
    """Rows of `tags.publications` with the rows that are left, and STAYS."""
    gone = plan.kept("tags", _OF_TAGS)
    # A generation has one row on the right, so this join cannot add rows.
    found = rows.join(F.broadcast(gone), on=["workspace_id", "generation"], how="inner")
    left = found.withColumn("rows", F.col("rows") - F.col("gone"))
    return left.select(*TAG_PUBLICATIONS.column_names, F.lit(True).alias(STAYS))


def of_audiences(plan: Plan, rows: DataFrame) -> DataFrame:
    """Rows of `tags.audience_publications` with the persons that are left, and STAYS."""
    gone = _gone(plan)
    mine = rows.where(F.col("generation").isin(sorted({generation for _, generation in gone})))
    # Of few generations are bitmaps kept, and a publication is one row.
    told = mine.select("workspace_id", "generation", "audiences", "persons", "refused").collect()
    left = [_less(row, gone) for row in told if (row["workspace_id"], row["generation"]) in gone]
    changed = rows.sparkSession.createDataFrame(left, _LEFT)
    # A generation has one row on the right, so this join cannot add rows.
    found = rows.drop("audiences", "persons", "refused").join(
        F.broadcast(changed), on=["workspace_id", "generation"], how="inner"
    )
    return found.select(*AUDIENCE_PUBLICATIONS.column_names, F.lit(True).alias(STAYS))


def _gone(plan: Plan) -> Gone:
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for row in plan.kept("audiences", _OF_AUDIENCES).collect():
        found[row["workspace_id"], row["generation"]][row["audience"]] = int(row["gone"])
    return found


def _less(row: Row, gone: Gone) -> tuple[str, str, str, int, int]:
    mine = gone[row["workspace_id"], row["generation"]]
    told = json.loads(row["audiences"])
    for name in told.keys() & mine.keys():
        told[name]["persons"] -= mine[name]
    persons, refused = row["persons"] - mine.get(PERSONS, 0), row["refused"] - mine.get(REFUSED, 0)
    return row["workspace_id"], row["generation"], json.dumps(told), persons, refused
