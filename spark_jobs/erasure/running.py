"""Carry out all open requests: each table in one commit, identity last, each step noted; killed, it is gone on with."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from spark_jobs.contracts.audiences import AUDIENCE_PUBLICATIONS, AUDIENCES
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_PUBLICATIONS
from spark_jobs.contracts.erasing import OF_IDENTITY, RULES
from spark_jobs.contracts.erasure import ERASURE_ENDS, ERASURE_REQUESTS, ERASURES
from spark_jobs.contracts.identity import IDENTITY_SNAPSHOTS
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.triggers import TRIGGERS
from spark_jobs.erasure import publications
from spark_jobs.erasure.clearing import Cleared, Way, cleared
from spark_jobs.erasure.finding import concerned
from spark_jobs.erasure.in_identity import clear_identity
from spark_jobs.erasure.in_triggers import clear_triggers
from spark_jobs.erasure.opening import Wanted, sealed_rows
from spark_jobs.erasure.plan import Plan, unfinished
from spark_jobs.erasure.publications import STATES, State
from spark_jobs.erasure.resolving import resolve
from spark_jobs.exports.publishing import PARTITIONS, message
from spark_jobs.sending import Delivery, send_all
from spark_jobs.settings import Settings
from spark_jobs.storage import delta, runs
from spark_jobs.storage.delta import Lake, Transaction

log = logging.getLogger(__name__)

ALL_WORKSPACES = "all"
# Behind the table of rows, the publications that say how many rows there are.
_COUNTED = {PERSON_TAGS: TAG_PUBLICATIONS, AUDIENCES: AUDIENCE_PUBLICATIONS}


def carry_out(lake: Lake, settings: Settings, *, grace: timedelta) -> dict[str, object]:
    """Finish runs that were killed, then carry out the requests that are older than `grace`.

    Out: requests carried out and held, how many wait, rows that went and changed.
    """
    if not delta.exists(lake, ERASURE_REQUESTS):
        return {"requests": 0, "held": [], "waiting": 0, "rows_removed": 0, "rows_changed": 0}
    with runs.recorded(lake, "erase", ALL_WORKSPACES) as recorded:
        plans: list[Plan] = []
        while plan := unfinished(lake):
            log.info("going on with run %s, which did not come to its end", plan.run_id)
            _finish(plan, settings)
            plans.append(plan)
        found = resolve(lake, settings.root_key_file, run_id=recorded.run_id, until=datetime.now(UTC) - grace)
        _note_ends(lake, recorded.run_id, found.absent, persons=0, identifiers=0)
        if found.plan:
            _finish(found.plan, settings)
            plans.append(found.plan)
        noted = _noted(lake, [plan.run_id for plan in plans])
        removed, changed = (sum(int(row[name]) for row in noted) for name in ("rows_removed", "rows_changed"))
        recorded.rows_out = removed
        done = sum(len(plan.requests) for plan in plans) + len(found.absent)
        recorded.detail.update({"requests": done, "held": len(found.held), "rows changed": changed})
    return {
        "requests": done,
        "held": found.held,
        "waiting": found.waiting,
        "rows_removed": removed,
        "rows_changed": changed,
    }


def _finish(plan: Plan, settings: Settings) -> None:
    done = {row["table_name"] for row in _noted(plan.lake, [plan.run_id])}
    for table in _facts(plan.lake):
        if table.name not in done:
            _note(plan, table.name, _clear(plan, table, settings))
    for state in STATES:
        if state.topic.name not in done and (told := _tell(plan, settings, state)) is not None:
            _note(plan, state.topic.name, Cleared(None, told, 0))
    if IDENTITY_SNAPSHOTS.name not in done:
        for table, found in clear_identity(plan).items():
            _note(plan, table.name, found)
        # Noted last: until then all of identity is looked at again.
        _note(plan, IDENTITY_SNAPSHOTS.name, Cleared(delta.current_version(plan.lake, IDENTITY_SNAPSHOTS), 0, 0))
    persons, identifiers = (
        rows.distinct().count()
        for rows in (plan.targets.persons.select("person_id"), plan.targets.for_good.select("identifier_no"))
    )
    _note_ends(plan.lake, plan.run_id, plan.requests, persons=persons, identifiers=identifiers)
    plan.end()


def _facts(lake: Lake) -> Iterator[Table]:
    """All tables but identity's, and behind those whose rows are counted in a publication the publications."""
    for table, rule in RULES.items():
        if rule.by == "kept" or table in OF_IDENTITY or not delta.exists(lake, table):
            continue
        yield table
        if (counting := _COUNTED.get(table)) and delta.exists(lake, counting):
            yield counting


def _clear(plan: Plan, table: Table, settings: Settings) -> Cleared:
    way = Way(plan.run_id, before=partial(publications.keep, plan, table))
    if table is TRIGGERS:
        return clear_triggers(plan, way)

    def find(rows: DataFrame) -> DataFrame:
        if table is TAG_PUBLICATIONS:
            return publications.of_tags(plan, rows)
        if table is AUDIENCE_PUBLICATIONS:
            return publications.of_audiences(plan, rows)
        if RULES[table].by == "sealed":
            return sealed_rows(rows, _wanted(plan), key_file=settings.root_key_file)
        return concerned(rows, table, plan.targets)

    return cleared(plan.lake, table, find, way)


def _wanted(plan: Plan) -> Wanted:
    """The tokens of a run's persons: of MOST_REQUESTS persons, who hold few identifiers each."""
    found: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for row in plan.targets.for_good.select("type", "scope", "token").collect():
        found[row["type"], row["scope"]].add(bytes(row["token"]))
    return Wanted(dict(found))


def _tell(plan: Plan, settings: Settings, state: State) -> int | None:
    """Take the persons' values out of a topic; how many, None where nothing was ever delivered into it."""
    lake = plan.lake
    if not delta.exists(lake, state.deliveries) or delta.read(lake, state.deliveries).isEmpty():
        return None
    values, group = state.told(plan), f"databank-erasure-{plan.run_id}"
    servers, account = settings.kafka_bootstrap_servers, settings.kafka_account
    delivery = Delivery(servers, account, group, 1, place=state.topic.name)
    # A message without a value takes its key out.
    send_all(message(state.topic, values, state.key, F.lit(None).cast("string")), delivery, partitions=PARTITIONS)
    return values.count()


def _noted(lake: Lake, run_ids: Sequence[str]) -> list[Row]:
    delta.ensure(lake, ERASURES)
    rows = delta.read(lake, ERASURES).where(F.col("run_id").isin(list(run_ids)))
    return rows.select("table_name", "rows_removed", "rows_changed").collect()


def _note(plan: Plan, name: str, found: Cleared) -> None:
    row = (plan.run_id, name, found.version, found.removed, found.changed, datetime.now(UTC))
    rows = plan.lake.spark.createDataFrame([row], ERASURES.ddl)
    delta.append(rows, plan.lake, ERASURES, once=Transaction(f"erasure/noted/{plan.run_id}/{name}", 1))


def _note_ends(lake: Lake, run_id: str, requests: Sequence[str], *, persons: int, identifiers: int) -> None:
    if not requests:
        return
    now = datetime.now(UTC)
    rows = [(request, run_id, persons, identifiers, now) for request in requests]
    kind = "absent" if not persons else "ended"
    once = Transaction(f"erasure/{kind}/{run_id}", 1)
    delta.append(lake.spark.createDataFrame(rows, ERASURE_ENDS.ddl), lake, ERASURE_ENDS, once=once)
