"""What is told of an audience that was sensitive for a time: its members, not who came and went meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime

from pyspark.sql import SparkSession

from spark_jobs.contracts.audiences import AUDIENCE_CHANGES
from spark_jobs.exports.audience_messages import reopened

AT = datetime(2018, 1, 1, tzinfo=UTC)
TOLD = "workspace_id string, audience string, base_at timestamp, version string, snapshot_id string"


def change(person: int, version: int, kind: str, classes: str) -> tuple[object, ...]:
    row: dict[str, object] = {
        "workspace_id": "grocery",
        "state_version": version,
        "audience": "a",
        "person_id": f"p{person}",
    }
    row |= {"person_no": person, "change": kind, "cause": "tags", "survivor_id": f"p{person}", "classes": classes}
    row |= {"base_at": AT, "version": f"v{version}", "snapshot_id": "s", "generation": f"g{version}"}
    return tuple(row.get(name) for name in AUDIENCE_CHANGES.column_names)


def test_members_enter_and_who_was_told_of_and_left_exits(spark: SparkSession) -> None:
    changes = [
        change(1, 1, "enter", ""),
        change(1, 2, "exit", "minors"),
        change(2, 2, "enter", "minors"),
        # 3 came and went while nobody was told; 5 went before that, and was told of.
        change(3, 2, "enter", "minors"),
        change(3, 3, "exit", "minors"),
        change(4, 1, "enter", ""),
        change(5, 1, "enter", ""),
        change(5, 2, "exit", ""),
    ]
    told = spark.createDataFrame([("grocery", "a", AT, "v9", "s9")], TOLD)
    found = reopened(spark.createDataFrame(changes, AUDIENCE_CHANGES.ddl), told).collect()
    assert {(row["person_id"], row["change"]) for row in found} == {("p1", "exit"), ("p2", "enter"), ("p4", "enter")}
    assert len(found) == 3
    assert {(row["cause"], row["version"], row["snapshot_id"], row["tags"]) for row in found} == {
        ("definition", "v9", "s9", None)
    }
