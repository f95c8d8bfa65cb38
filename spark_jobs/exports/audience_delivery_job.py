"""Bring published audiences into their topics: the members of each, and who came and went, each exactly once."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.audiences import (
    AUDIENCE_CHANGES,
    AUDIENCE_DELIVERIES,
    AUDIENCE_PUBLICATIONS,
    AUDIENCES,
    REFUSED,
)
from spark_jobs.contracts.topics import AUDIENCE_STATE_TOPIC
from spark_jobs.errors import RetryableError
from spark_jobs.exports.audience_messages import messages, reopened, withheld
from spark_jobs.exports.publishing import PARTITIONS, Note
from spark_jobs.people.bitmaps import unfolding
from spark_jobs.sending import Delivery, send_all
from spark_jobs.settings import Settings
from spark_jobs.storage import delta, runs
from spark_jobs.storage.delta import Lake, Transaction

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose audiences."""
    parser.add_argument("--workspace", metavar="NAME", help="default: all workspaces")


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Deliver what was published since the last time, one publication after the other."""
    lake = Lake(spark, settings.storage_root)
    wanted = [settings.workspace(args.workspace)] if args.workspace else settings.workspaces
    for table in (AUDIENCES, AUDIENCE_CHANGES, AUDIENCE_PUBLICATIONS, AUDIENCE_DELIVERIES):
        delta.ensure(lake, table)
    found = {}
    for workspace in wanted:
        with runs.recorded(lake, "audience-deliver", workspace.name) as record:
            facts = _deliver_all(lake, settings, workspace.name)
            record.rows_in = record.rows_out = facts["messages"]
            record.detail = facts
        found[workspace.name] = facts
    return {"workspaces": found}


def _deliver_all(lake: Lake, settings: Settings, workspace: str) -> dict[str, Any]:
    done = _newest(lake, workspace)
    published = delta.read(lake, AUDIENCE_PUBLICATIONS).where(F.col("workspace_id") == workspace)
    # The one before the first as well: which audiences were open then.
    rows = published.where(F.col("number") >= done).orderBy("number").collect()
    if not rows or rows[-1]["number"] == done:
        return {"number": done, "publications": 0, "messages": 0, "refused": 0}
    refused, before, sent, number = _refused(lake, rows[-1]), None, 0, done
    for row in rows:
        if row["number"] > done:
            sent += _deliver(lake, settings, row, before, refused=refused)
            number = row["number"]
        before = row
    return {"number": number, "publications": number - done, "messages": sent, "refused": rows[-1]["refused"]}


def _newest(lake: Lake, workspace: str) -> int:
    done = delta.read(lake, AUDIENCE_DELIVERIES).where(F.col("workspace_id") == workspace)
    return int(done.agg(F.coalesce(F.max("number"), F.lit(0))).collect()[0][0])


def _refused(lake: Lake, newest: Row) -> DataFrame:
    """person_no of those who refuse profiling as of the newest publication: older ones tell nothing of them any more.

    RetryableError where rows are gone, because newer ones came meanwhile.
    """
    version = delta.current_version(lake, AUDIENCES)
    rows = delta.read(lake, AUDIENCES, version=version).where(
        (F.col("workspace_id") == newest["workspace_id"])
        & (F.col("audience") == REFUSED)
        & (F.col("generation") == newest["generation"])
    )
    found = rows.agg(F.coalesce(F.sum("persons"), F.lit(0))).collect()[0][0]
    if found != newest["refused"]:
        raise RetryableError(
            f"publication {newest['number']} of audiences names {found:,} persons who refuse profiling, wanted "
            f"{newest['refused']:,}: newer ones were published meanwhile; start the delivery again"
        )
    return rows.select("chunk", "members").mapInArrow(unfolding(()), "person_no bigint")


def _deliver(lake: Lake, settings: Settings, publication: Row, before: Row | None, *, refused: DataFrame) -> int:
    workspace, number = publication["workspace_id"], publication["number"]
    base_at = publication["base_at"].astimezone(UTC).isoformat()
    note = Note(workspace, number, publication["generation"], base_at, publication["snapshot_id"])
    told, gone = _told_and_gone(lake, publication, before)
    delivery = Delivery(
        settings.kafka_bootstrap_servers,
        settings.kafka_account,
        f"databank-audiences-{workspace}",
        number,
        place=AUDIENCE_STATE_TOPIC.name,
    )
    sent = send_all(messages(withheld(told, refused), gone, note), delivery, partitions=PARTITIONS)
    row = (workspace, number, publication["generation"], sent, datetime.now(UTC))
    done = lake.spark.createDataFrame([row], AUDIENCE_DELIVERIES.ddl)
    delta.append(done, lake, AUDIENCE_DELIVERIES, once=Transaction(f"tags/audience_deliveries/{workspace}", number))
    log.info("audiences of %s: publication %d is in the topics, %d messages", workspace, number, sent)
    return sent


def _told_and_gone(lake: Lake, publication: Row, before: Row | None) -> tuple[DataFrame, DataFrame]:
    """The changes that are told of; and workspace_id, audience, person_id of members whom nobody may see any more."""
    workspace, shut = publication["workspace_id"], _sensitive(publication)
    shut_before = shut if before is None else _sensitive(before)
    opened = shut_before.intersection(json.loads(publication["audiences"])) - shut
    # What runs that died wrote counts nowhere and may be gone by the next try, which must find the same messages.
    published = delta.read(lake, AUDIENCE_PUBLICATIONS).where(
        (F.col("workspace_id") == workspace) & (F.col("number") <= publication["number"])
    )
    mine = delta.read(lake, AUDIENCE_CHANGES).where(F.col("workspace_id") == workspace)
    counted = mine.join(published.select("generation"), "generation", "left_semi")
    is_of_this = F.col("generation") == publication["generation"]
    # What a row says counts as well: of an audience that went, its last classes stand there alone.
    is_plain = (F.coalesce("classes", F.lit("")) == "") & ~F.col("audience").isin(*sorted(shut | opened))
    told = mine.where(is_of_this & is_plain)
    if opened:
        entering = reopened(counted.where(F.col("audience").isin(*sorted(opened))), _facts(lake, publication, opened))
        told = told.select(*entering.columns).unionByName(entering)
    hidden = counted.where(F.col("audience").isin(*sorted(shut - shut_before)) & ~is_of_this)
    return told, hidden.select("workspace_id", "audience", "person_id").dropDuplicates()


def _facts(lake: Lake, publication: Row, audiences: Iterable[str]) -> DataFrame:
    """workspace_id, audience, base_at, version, snapshot_id of some audiences of a publication."""
    told = json.loads(publication["audiences"])
    shared = publication["workspace_id"], publication["base_at"], publication["snapshot_id"]
    rows = [(name, told[name]["version"], *shared) for name in sorted(audiences)]
    ddl = "audience string, version string, workspace_id string, base_at timestamp, snapshot_id string"
    return lake.spark.createDataFrame(rows, ddl)


def _sensitive(publication: Row) -> set[str]:
    return {name for name, told in json.loads(publication["audiences"]).items() if told["classes"]}
