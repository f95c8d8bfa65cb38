"""The certificate of a request: what went from which table, when the last file with it is gone, and what is outside.

A row that is taken out leaves its old file behind until a vacuum deletes it, after the table's retention; bounds of
numbers and ids that Delta kept of the file stand in the log until that is cleaned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import Row
from pyspark.sql import functions as F

from spark_jobs.contracts.erasing import has_personal_data
from spark_jobs.contracts.erasure import ERASURE_ENDS, ERASURE_REQUESTS, ERASURES
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.tables import TABLES
from spark_jobs.contracts.topics import TOPICS
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta, folders
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.vacuum import totals, unneeded

_MANIFEST = "manifest.json"
_FILES, _LOG = "delta.deletedFileRetentionDuration", "delta.logRetentionDuration"
# Delta's own, where a table says nothing.
_DEFAULTS = {_FILES: "interval 7 days", _LOG: "interval 30 days"}
_INTERVAL = re.compile(r"(?:interval )?(\d+) (second|minute|hour|day|week)s?", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def certificate(lake: Lake, request_id: str) -> dict[str, object]:
    """Everything that is known of a request; `gone` is true once no file of the lake holds a row any more.

    TerminalError where there is no such request.
    """
    request = _row(lake, ERASURE_REQUESTS, request_id, "requested_at")
    if request is None:
        raise TerminalError(f"{lake.root}: no request {request_id} of erasure; `ops.erasure_requests` lists them")
    facts: dict[str, object] = {
        "request_id": request_id,
        "requested_at": _instant(request["at_us"]).isoformat(),
        "author": request["author"],
        "reason": request["reason"],
    }
    end = _row(lake, ERASURE_ENDS, request_id, "ended_at")
    if end is None:
        return {**facts, "state": "open", "gone": False, "next": "`databank upkeep erase --run` carries it out"}
    ended, run_id = _instant(end["at_us"]), end["run_id"]
    tables = list(_tables(lake, run_id))
    return {
        **facts,
        "state": "erased",
        "run_id": run_id,
        "erased_at": ended.isoformat(),
        "of_the_run": {"master_ids": end["persons"], "identifiers": end["identifiers"]},
        "tables": tables,
        "gone": all(one["files_left"] == 0 for one in tables),
        "gone_not_before": max((str(one["files_gone_not_before"]) for one in tables), default=ended.isoformat()),
        "outside": _outside(lake, ended),
    }


def interval_of(text: str) -> timedelta:
    """A retention as Delta's properties spell it; TerminalError for another way."""
    found = _INTERVAL.fullmatch(text.strip())
    if found is None:
        raise TerminalError(f"found the retention {text!r}, wanted such as 'interval 7 days'; set it on the table")
    return timedelta(**{f"{found[2].lower()}s": int(found[1])})


def _row(lake: Lake, table: Table, request_id: str, moment: str) -> Row | None:
    """The first row of a request, with its moment in microseconds as `at_us`."""
    if not delta.exists(lake, table):
        return None
    rows = delta.read(lake, table).where(F.col("request_id") == request_id)
    found = rows.withColumn("at_us", F.unix_micros(moment)).orderBy("at_us").limit(1).collect()
    return found[0] if found else None


def _tables(lake: Lake, run_id: str) -> Iterator[dict[str, Any]]:
    """What the run took out of each table, and when no file has it any more."""
    noted = delta.read(lake, ERASURES).where((F.col("run_id") == run_id) & F.col("version").isNotNull())
    known = {table.name: table for table in TABLES}
    for row in noted.withColumn("at_us", F.unix_micros("erased_at")).orderBy("table_name").collect():
        facts = {name: row[name] for name in ("table_name", "version", "rows_removed", "rows_changed")}
        table = known.get(row["table_name"])
        # What holds counts alone, or a pointer, has no files to wait for.
        if table is None or not has_personal_data(table) or not delta.exists(lake, table):
            yield {**facts, "files_left": 0, "files_gone_not_before": _instant(row["at_us"]).isoformat()}
            continue
        yield {**facts, **_physical(lake, table, _instant(row["at_us"]))}


def _physical(lake: Lake, table: Table, at: datetime) -> dict[str, object]:
    """When files and log of before are gone.

    `files_left`: files that were written before, and that a vacuum may delete by now and has not; null while it may
    not yet. Vacuum goes by how long ago a file left the table, so where none of them waits, all are gone.
    """
    properties = DeltaTable.forPath(lake.spark, lake.path_of(table)).detail().select("properties").collect()[0][0]
    files, log = (interval_of((properties or {}).get(name, _DEFAULTS[name])) for name in (_FILES, _LOG))
    is_over = datetime.now(UTC) >= at + files
    waiting = unneeded(lake, table).where(F.col("written_at") <= F.lit(at))
    return {
        "erased_at": at.isoformat(),
        "files_gone_not_before": (at + files).isoformat(),
        "files_left": totals(waiting)[0] if is_over else None,
        "log_gone_not_before": (at + log).isoformat(),
    }


def _outside(lake: Lake, ended: datetime) -> dict[str, object]:
    """What no run can reach: what was sent or handed out before, and until when it lasts where that is known."""
    topics = {
        one.name: (ended + timedelta(milliseconds=one.retention_ms)).isoformat()
        for one in TOPICS
        if not one.is_compacted
    }
    compacted = "values were taken out; brokers drop the old ones when they compact next"
    return {
        "topics_hold_messages_until": topics,
        **{f"topic_{one.name}": compacted for one in TOPICS if one.is_compacted},
        "exports": list(_exports(lake, ended)),
        "exports_that_expired": "their manifests are gone; `ops.runs` (job `exports`) tells when which was made",
        "serving_store": "without the person from the next publication of tags that `databank profiles load` takes in; "
        "refusals that were noted by an identifier stay until `databank profiles allow`",
        "live_tags": "their store is without the person from the next publication that `databank profiles load` takes",
        "activation": "its store keeps who was sent what; its own retention applies",
        "backups": "those that were made before hold the person; delete them, or erase again after a restore",
        "quarantine": "bytes that spell an identifier in an unusual way were not found; they go by retention",
        "free_text": "authors and reasons of decisions, and properties of events of others, were not read",
    }


def _exports(lake: Lake, ended: datetime) -> Iterator[dict[str, object]]:
    """Exports that were made before, and may name the person: whose they are, and until when."""
    root = f"{lake.root}/exports"
    places = [
        f"{root}/{workspace}/{name}/{folder}"
        for workspace in folders.children(lake, root)
        for name in folders.children(lake, f"{root}/{workspace}")
        for folder in folders.children(lake, f"{root}/{workspace}/{name}")
    ]
    for place in places:
        path = f"{place}/{_MANIFEST}"
        told = json.loads(folders.read_text(lake, path)) if folders.exists(lake, path) else {}
        if told and datetime.fromisoformat(told["made_at"]) <= ended:
            wanted = ("export", "receiver", "purpose", "made_at", "expires_at")
            yield {"folder": place, **{name: told.get(name) for name in wanted}}


def _instant(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(at_us))
