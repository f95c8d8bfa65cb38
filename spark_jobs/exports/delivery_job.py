"""Bring published tags into their topics: the state of each person and tag, and every change, each exactly once."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.derived import TAG_CHANGES, TAG_DELIVERIES, TAG_PUBLICATIONS, TAG_REFUSED
from spark_jobs.errors import RetryableError
from spark_jobs.exports.messages import messages, reopened, withheld
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
    base_at = publication["base_at"].astimezone(UTC).isoformat()
    note = Note(workspace, number, publication["generation"], base_at, publication["snapshot_id"])
    told, gone = _told_and_gone(lake, publication, before)
    delivery = Delivery(settings.kafka_bootstrap_servers, settings.kafka_account, _group(workspace), number)
    sent = send_all(messages(withheld(told, refused), gone, note), delivery, partitions=PARTITIONS)
    row = (workspace, number, publication["generation"], sent, datetime.now(UTC))
    done = lake.spark.createDataFrame([row], TAG_DELIVERIES.ddl)
    delta.append(done, lake, TAG_DELIVERIES, once=Transaction(f"tags/deliveries/{workspace}", number))
    log.info("tags of %s: publication %d is in the topics, %d messages", workspace, number, sent)
    return sent


def _told_and_gone(lake: Lake, publication: Row, before: Row | None) -> tuple[DataFrame, DataFrame]:
    """The changes that are told of; and workspace_id, tag, person_id of values that nobody may see any more."""
    workspace, shut = publication["workspace_id"], _sensitive(publication)
    shut_before = shut if before is None else _sensitive(before)
    opened = shut_before.intersection(_tags(publication)) - shut
    # What runs that died wrote counts nowhere and may be gone by the next try, which must find the same messages.
    published = delta.read(lake, TAG_PUBLICATIONS).where(
        (F.col("workspace_id") == workspace) & (F.col("kind") == "current") & (F.col("number") <= publication["number"])
    )
    mine = delta.read(lake, TAG_CHANGES).where(F.col("workspace_id") == workspace)
    counted = mine.join(published.select("generation"), "generation", "left_semi")
    is_of_this = F.col("generation") == publication["generation"]
    # What a row says counts as well: it may be of a time when the tag was sensitive.
    is_plain = F.coalesce("classes", F.lit("")) == ""
    told = mine.where(is_of_this & is_plain & _tag_is_none_of(shut | opened))
    if opened:
        values = reopened(counted.where(~_tag_is_none_of(opened)), _facts(lake, publication, opened))
        told = told.select(*values.columns).unionByName(values)
    hidden = counted.where(~_tag_is_none_of(shut - shut_before) & ~is_of_this)
    return told, hidden.select("workspace_id", "tag", "person_id").dropDuplicates()


def _facts(lake: Lake, publication: Row, tags: Iterable[str]) -> DataFrame:
    """workspace_id, tag, base_at, version, snapshot_id of some tags of a publication."""
    told = _tags(publication)
    shared = publication["workspace_id"], publication["base_at"], publication["snapshot_id"]
    rows = [(name, told[name]["version"], *shared) for name in sorted(tags)]
    ddl = "tag string, version string, workspace_id string, base_at timestamp, snapshot_id string"
    return lake.spark.createDataFrame(rows, ddl)


def _tags(publication: Row) -> dict[str, dict[str, Any]]:
    return dict(json.loads(publication["state"])["tags"])


def _sensitive(publication: Row) -> set[str]:
    return {name for name, told in _tags(publication).items() if told.get("classes")}


def _tag_is_none_of(names: Collection[str]) -> Column:
    return ~F.col("tag").isin(*sorted(names)) if names else F.lit(True)


def _group(workspace: str) -> str:
    return f"databank-tags-{workspace}"
