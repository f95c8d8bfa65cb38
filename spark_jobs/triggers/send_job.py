"""Bring due triggers into their topic, each exactly once, and to the webhook, each at least once with the same key."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.topics import TRIGGERS_TOPIC
from spark_jobs.contracts.triggers import TRIGGER_DELIVERIES, TRIGGER_RUNS, TRIGGERS
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.sending import Delivery, send_all
from spark_jobs.settings import Settings, Workspace
from spark_jobs.storage import checkpoints, delta, runs
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.triggers import publication
from spark_jobs.triggers.deciding import DUE, SENT
from spark_jobs.triggers.definitions import Trigger
from spark_jobs.triggers.messages import PARTITIONS, messages
from spark_jobs.triggers.moments import instant_of, moment_of_run
from spark_jobs.triggers.posting import SCHEMA, Hook, poster
from spark_jobs.triggers.publication import STEP, Run
from spark_jobs.triggers.quiet import quiet_until
from spark_jobs.triggers.reading import triggers_of

log = logging.getLogger(__name__)

KAFKA, WEBHOOK = "kafka", "webhook"
# Connections that a receiver has to bear at a time.
_POSTERS = 4


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one run's triggers on one channel."""

    messages: int
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """What both channels need."""

    lake: Lake
    settings: Settings
    workspace: Workspace
    triggers: tuple[Trigger, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose triggers, by which definitions, at which moment."""
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose triggers are sent")
    parser.add_argument("--triggers", metavar="DIR", type=Path, help="definitions; default: the shipped ones")
    parser.add_argument("--at", metavar="INSTANT", help="send as of this instant (with its offset); default: now")


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse, before Spark starts, definitions that are wrong, and a webhook that is wanted and not set."""
    posted = [one.name for one in triggers_of(args.triggers, settings.workspace(args.workspace).name) if one.webhook]
    moment_of_run(args.at, None)
    if not posted:
        return
    if settings.triggers is None:
        raise TerminalError(
            f"triggers {', '.join(posted)} have a webhook, and the settings no [triggers]; add webhook_url and "
            "webhook_key_file (docs/triggers.md)"
        )
    hook = _hook(settings)
    _ = hook.parts, hook.secret()


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Claim what is due, then send all that was claimed and has not left, one claim after the other."""
    lake, workspace = Lake(spark, settings.storage_root), settings.workspace(args.workspace)
    for table in (TRIGGERS, TRIGGER_RUNS, TRIGGER_DELIVERIES):
        delta.ensure(lake, table)
    work = Work(lake, settings, workspace, triggers_of(args.triggers, workspace.name))
    with runs.recorded(lake, "triggers-send", workspace.name) as record:
        claimed = _claim(work, at_us=moment_of_run(args.at, None), run_id=record.run_id)
        told = {KAFKA: _deliver(work, KAFKA, _into_topic)}
        # Behind the topic: a receiver that is down holds nobody else up.
        told[WEBHOOK] = _deliver(work, WEBHOOK, _to_receiver)
        record.rows_in, record.rows_out = claimed, told[KAFKA].messages
        record.detail = {"claimed": claimed, "posted": told[WEBHOOK].messages, "refused": told[WEBHOOK].refused}
    return {"workspace": workspace.name, **record.detail, "messages": told[KAFKA].messages}


def _claim(work: Work, *, at_us: int, run_id: str) -> int:
    """Make what is due `sent`: from then on nothing cancels it; how many. RetryableError where a run came between."""
    lake, workspace = work.lake, work.workspace.name
    number = publication.standing(lake, workspace).number + 1
    with checkpoints.scratch(lake, "triggers-send", run_id) as scratch:
        due = publication.states(lake, workspace, at_us=at_us).where((F.col("state") == DUE) & _may_leave(work, at_us))
        sent = {"state": F.lit(SENT), "reason": F.lit(""), "held_until": F.lit(None).cast("timestamp")}
        steps = scratch.keep(due.withColumns(sent).select(*STEP), "steps")
        count = steps.count()
        if count:
            mine = Run(workspace, number, run_id, "send", at_us)
            publication.write(steps, lake, mine)
            publication.publish(lake, mine, steps=count)
            publication.forget(lake, workspace, number)
    return count


def _may_leave(work: Work, at_us: int) -> Column:
    """True for triggers that are defined, neither quiet now nor too late; the next decision looks at the others."""
    at = instant_of(at_us)
    loud = [one for one in work.triggers if quiet_until(one.quiet, at, work.workspace.zone) is None]
    may = [
        (F.col("trigger") == one.name) & (F.col("waits") == one.waits) & (F.col("since_at") > F.lit(at - one.expires))
        for one in loud
    ]
    return reduce(Column.__or__, may, F.lit(False))


def _deliver(work: Work, channel: str, send: Callable[[Work, int, DataFrame], Sent]) -> Sent:
    """Send each claim that has not left by a channel, in order, and record that it has."""
    lake, workspace = work.lake, work.workspace.name
    done = delta.read(lake, TRIGGER_DELIVERIES).where(
        (F.col("workspace_id") == workspace) & (F.col("channel") == channel)
    )
    newest = int(done.agg(F.coalesce(F.max("number"), F.lit(0))).collect()[0][0])
    total = Sent(0)
    for row in publication.sends_behind(lake, workspace, newest):
        number = int(row["number"])
        steps = publication.steps_of(lake, workspace, number, row["generation"])
        sent = send(work, number, messages(steps, work.triggers))
        _record(lake, (workspace, channel, number, sent.messages, sent.refused, datetime.now(UTC)))
        total = Sent(total.messages + sent.messages, total.refused + sent.refused)
        log.info("triggers of %s: run %d has left by %s, %d messages", workspace, number, channel, sent.messages)
    return total


def _record(lake: Lake, row: tuple[str, str, int, int, int, datetime]) -> None:
    done = lake.spark.createDataFrame([row], TRIGGER_DELIVERIES.ddl)
    once = Transaction(f"triggers/deliveries/{row[1]}/{row[0]}", row[2])
    delta.append(done, lake, TRIGGER_DELIVERIES, once=once)


def _into_topic(work: Work, number: int, given: DataFrame) -> Sent:
    settings, group = work.settings, f"databank-triggers-{work.workspace.name}"
    servers, account = settings.kafka_bootstrap_servers, settings.kafka_account
    delivery = Delivery(servers, account, group, number, place=TRIGGERS_TOPIC.name)
    return Sent(send_all(given.drop("trigger"), delivery, partitions=PARTITIONS))


def _to_receiver(work: Work, number: int, given: DataFrame) -> Sent:
    posted = [one.name for one in work.triggers if one.webhook]
    if not posted or work.settings.triggers is None:
        return Sent(0)
    rows = given.where(F.col("trigger").isin(*posted)).select("key", "value").repartition(_POSTERS, "key")
    sums = [F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in ("accepted", "refused", "failed")]
    found = _asked(rows.mapInArrow(poster(_hook(work.settings)), SCHEMA).agg(*sums, F.max("said").alias("said")))[0]
    if found["failed"]:
        raise RetryableError(
            f"the webhook did not take {found['failed']} of the triggers of run {number} ({found['said']}); start it "
            "again: all of the run are posted again, with the keys that they had"
        )
    return Sent(int(found["accepted"]), int(found["refused"]))


def _asked(found: DataFrame) -> Sequence[Row]:
    try:
        return found.collect()
    except PySparkException as error:
        said = str(error).strip().splitlines()
        raise RetryableError(f"posting broke off: {said[0][:300]}; start it again") from error


def _hook(settings: Settings) -> Hook:
    if settings.triggers is None:
        raise TerminalError("the settings have no [triggers]; add webhook_url and webhook_key_file (docs/triggers.md)")
    return Hook(settings.triggers.webhook_url, settings.triggers.webhook_key_file)
