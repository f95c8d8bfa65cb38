"""Publications say how many rows a generation has, and readers refuse one that lacks some: they are told what went."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from spark_jobs.contracts.audiences import (
    AUDIENCE_CHANGES,
    AUDIENCE_DELIVERIES,
    AUDIENCE_PUBLICATIONS,
    AUDIENCES,
    PERSONS,
    REFUSED,
)
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_DELIVERIES, TAG_PUBLICATIONS, TAG_REFUSED
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.topics import AUDIENCE_STATE_TOPIC, TAG_STATE_TOPIC, Topic
from spark_jobs.erasure.finding import STAYS
from spark_jobs.erasure.plan import Plan
from spark_jobs.people.bitmaps import LEFT

_OF_TAGS = "workspace_id string, generation string, gone bigint"
_OF_AUDIENCES = "workspace_id string, generation string, audience string, gone bigint"
_LEFT = "workspace_id string, generation string, audiences string, persons bigint, refused bigint"
# Of generations of tags: rows of values, and rows of who refuses.
_COUNTED = {PERSON_TAGS: "tags", TAG_REFUSED: "refused"}

Gone = Mapping[tuple[str, str], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class State:
    """A topic that keeps the newest message of each key; `changes` holds all keys that were ever told.

    `about`: the column that a key names beside workspace and person; `deliveries`: has rows once anything was told.
    """

    topic: Topic
    changes: Table
    deliveries: Table
    about: str

    @property
    def key(self) -> tuple[str, ...]:
        """Columns of a message's key."""
        return ("workspace_id", self.about, "person_id")

    def told(self, plan: Plan) -> DataFrame:
        """The persons' keys, each once."""
        return plan.kept(self.topic.name, ", ".join(f"{name} string" for name in self.key))


STATES = (
    State(TAG_STATE_TOPIC, TAG_CHANGES, TAG_DELIVERIES, "tag"),
    State(AUDIENCE_STATE_TOPIC, AUDIENCE_CHANGES, AUDIENCE_DELIVERIES, "audience"),
)


def keep(plan: Plan, table: Table, hits: DataFrame) -> None:
    """Keep what publications, or topics, must be told of rows that are about to go. In: rows of `finding.concerned`."""
    if table in _COUNTED:
        plan.keep(hits.groupBy("workspace_id", "generation").agg(F.count(F.lit(1)).alias("gone")), _COUNTED[table])
    if table is AUDIENCES:
        groups = hits.groupBy("workspace_id", "generation", "audience")
        plan.keep(groups.agg(F.sum(LEFT).alias("gone")), "audiences")
    for state in STATES:
        if table is state.changes:
            # Of a row that says where another's id led to, the key is that other's and stays. A semi join adds none.
            mine = hits.join(F.broadcast(plan.targets.persons), on="person_id", how="left_semi")
            plan.keep(mine.select(*state.key).distinct(), state.topic.name)


def of_tags(plan: Plan, rows: DataFrame) -> DataFrame:
    """Rows of `tags.publications` with the rows that are left, of values and of who refuses, and STAYS."""
    nothing, gone = F.lit(0).cast("bigint"), F.col("gone")
    of_values, of_refused = (plan.kept(name, _OF_TAGS) for name in _COUNTED.values())
    each = of_values.withColumns({"rows_gone": gone, "refused_gone": nothing}).unionByName(
        of_refused.withColumns({"rows_gone": nothing, "refused_gone": gone})
    )
    sums = [F.sum(name).alias(name) for name in ("rows_gone", "refused_gone")]
    lost = each.groupBy("workspace_id", "generation").agg(*sums)
    # A generation has one row on the right, so this join cannot add rows.
    found = rows.join(F.broadcast(lost), on=["workspace_id", "generation"], how="inner")
    left = {name: F.col(name) - F.col(f"{name}_gone") for name in ("rows", "refused")}
    return found.withColumns(left).select(*TAG_PUBLICATIONS.column_names, F.lit(True).alias(STAYS))


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
