"""Bring published tags into their topics: the state of each person and tag, and every change, each exactly once."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.derived import TAG_CHANGES, TAG_DELIVERIES, TAG_PUBLICATIONS, TAG_REFUSED
from spark_jobs.errors import RetryableError
from spark_jobs.exports.messages import messages, withheld
from spark_jobs.exports.publishing import PARTITIONS, Note
from spark_jobs.sending import Delivery, send_all
from spark_jobs.settings import Settings
from spark_jobs.storage import delta, runs
from spark_jobs.storage.delta import Lake, Transaction

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose tags."""
    parser.add_argument("--workspace", metavar="NAME", help="default: all workspaces")


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Deliver what was published since the last time, one publication after the other."""
    lake = Lake(spark, settings.storage_root)
    wanted = [settings.workspace(args.workspace)] if args.workspace else settings.workspaces
    for table in (TAG_PUBLICATIONS, TAG_CHANGES, TAG_REFUSED, TAG_DELIVERIES):
        delta.ensure(lake, table)
    found = {}
    for workspace in wanted:
        with runs.recorded(lake, "tags-deliver", workspace.name) as record:
            facts = _deliver_all(lake, settings, workspace.name)
            record.rows_in = record.rows_out = facts["messages"]
            record.detail = facts
        found[workspace.name] = facts
    return {"workspaces": found}


def _deliver_all(lake: Lake, settings: Settings, workspace: str) -> dict[str, Any]:
    done = _newest(lake, workspace)
    published = delta.read(lake, TAG_PUBLICATIONS).where(
        (F.col("workspace_id") == workspace) & (F.col("kind") == "current")
    )
    # The one before the first as well: whose tags were open then.
    rows = published.where(F.col("number") >= done).orderBy("number").collect()
    if not rows or rows[-1]["number"] == done:
        return {"number": done, "publications": 0, "messages": 0, "refused": 0}
    refused, left_out = _refused(lake, rows[-1])
    before, sent, number = None, 0, done
    for row in rows:
        if row["number"] > done:
            sent += _deliver(lake, settings, row, before, refused=refused)
            number = row["number"]
        before = row
    return {"number": number, "publications": number - done, "messages": sent, "refused": left_out}


def _refused(lake: Lake, newest: Row) -> tuple[DataFrame, int]:
    """person_id of those who refuse profiling as of the newest publication, and the tag that they have; how many.

    What an older one says of them is not told any more. Who has refused since is taken out by the next publication.
    RetryableError where rows are gone, because newer ones came meanwhile.
    """
    version = delta.current_version(lake, TAG_REFUSED)
    is_mine = (F.col("workspace_id") == newest["workspace_id"]) & (F.col("generation") == newest["generation"])
    rows = delta.read(lake, TAG_REFUSED, version=version).where(is_mine)
    found, wanted = rows.count(), newest["refused"] or 0
    if found != wanted:
        raise RetryableError(
            f"publication {newest['number']} of tags names {found:,} persons who refuse profiling, wanted {wanted:,}: "
            "newer ones were published meanwhile; start the delivery again"
        )
    return rows.select("person_id", F.col("tag").alias("open_tag")), found


def _newest(lake: Lake, workspace: str) -> int:
    done = delta.read(lake, TAG_DELIVERIES).where(F.col("workspace_id") == workspace)
    return int(done.agg(F.coalesce(F.max("number"), F.lit(0))).collect()[0][0])


def _deliver(lake: Lake, settings: Settings, publication: Row, before: Row | None, *, refused: DataFrame) -> int:
    workspace, number = publication["workspace_id"], publication["number"]
    shut, shut_before = _sensitive(publication), None if before is None else _sensitive(before)
    mine = delta.read(lake, TAG_CHANGES).where(F.col("workspace_id") == workspace)
    changes = mine.where(F.col("generation") == publication["generation"])
    # What a row says counts as well: it may be of a time when the tag was sensitive.
    plain = changes.where(F.coalesce("classes", F.lit("")) == "").where(_tag_is_none_of(shut))
    newly = set() if shut_before is None else shut - shut_before
    hidden = _published_before(lake, workspace, number, mine.where(~_tag_is_none_of(newly)))
    note = Note(
        workspace,
        number,
        publication["generation"],
        publication["base_at"].astimezone(UTC).isoformat(),
        publication["snapshot_id"],
    )
    plain = withheld(plain, refused)
    given = messages(plain, hidden.select("workspace_id", "tag", "person_id").dropDuplicates(), note)
    delivery = Delivery(settings.kafka_bootstrap_servers, settings.kafka_account, _group(workspace), number)
    sent = send_all(given, delivery, partitions=PARTITIONS)
    row = (workspace, number, publication["generation"], sent, datetime.now(UTC))
    done = lake.spark.createDataFrame([row], TAG_DELIVERIES.ddl)
    delta.append(done, lake, TAG_DELIVERIES, once=Transaction(f"tags/deliveries/{workspace}", number))
    log.info("tags of %s: publication %d is in the topics, %d messages", workspace, number, sent)
    return sent


def _published_before(lake: Lake, workspace: str, number: int, changes: DataFrame) -> DataFrame:
    """The changes that publications before this one brought.

    What runs that died wrote counts nowhere and may be gone by the next try, which must find the same messages.
    """
    rows = delta.read(lake, TAG_PUBLICATIONS)
    is_before = (F.col("workspace_id") == workspace) & (F.col("kind") == "current") & (F.col("number") < number)
    return changes.join(rows.where(is_before).select("generation"), "generation", "left_semi")


def _sensitive(publication: Row) -> set[str]:
    tags = json.loads(publication["state"])["tags"]
    return {name for name, told in tags.items() if told.get("classes")}


def _tag_is_none_of(names: Collection[str]) -> Column:
    return ~F.col("tag").isin(*sorted(names)) if names else F.lit(True)


def _group(workspace: str) -> str:
    return f"databank-tags-{workspace}"
