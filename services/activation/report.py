"""What a campaign brought: who bought, who came back, and how much more than in the control group."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from services.activation.uplift import LEVEL, Share, difference
from services.profiles.lake import Lake
from services.profiles.published import Published
from spark_jobs.contracts.core import ORDERS
from spark_jobs.contracts.derived import TAG_CHANGES
from spark_jobs.contracts.identity import IDENTITY_MAP, PERSONS
from spark_jobs.triggers.moments import micros_of

# Members who were gone: registered and never bought, or not for long.
AWAY_TAGS = ("silent", "dormant")
_SINCE = "coalesce(epoch_us(system_from), -2208988800000000)"
_KNOWN = f"{_SINCE} <= $snapshot_us"
# An id that was merged is the person that it resolves to. Who was in both groups says nothing of either.
_PERSONS = f"""
CREATE OR REPLACE TABLE measured AS
WITH resolved AS (
    SELECT person_id, arg_max(survivor_id, {_SINCE}) AS survivor_id FROM persons WHERE {_KNOWN} GROUP BY 1),
named AS (
    SELECT coalesce(r.survivor_id, a.person_id) AS person_id, a.person_id AS then_id, a.is_control, a.publication,
        epoch_us(a.assigned_at::TIMESTAMPTZ) AS at_us
    FROM assigned AS a LEFT JOIN resolved AS r USING (person_id))
SELECT person_id, arg_min(then_id, at_us) AS then_id, bool_or(is_control) AS is_control,
    bool_and(is_control) AS is_pure, arg_min(publication, at_us) AS publication, min(at_us) AS at_us
FROM named GROUP BY person_id
"""
_BOUGHT = f"""
CREATE OR REPLACE TABLE bought AS
SELECT DISTINCT p.person_id
FROM orders AS o
JOIN map AS m ON m.type = o.subject_type AND m.scope = o.subject_scope AND m.token = o.subject_token
    AND o.ordered_at >= m.valid_from AND o.ordered_at < m.valid_to
    AND {_KNOWN.replace("system_from", "m.system_from")}
    AND (m.system_to IS NULL OR epoch_us(m.system_to) > $snapshot_us)
JOIN measured AS p ON p.person_id = m.person_id
    AND epoch_us(o.ordered_at) > p.at_us AND epoch_us(o.ordered_at) <= p.at_us + $window_us
WHERE o.workspace_id = $workspace AND o.status = 'paid'
    AND NOT (o.refunded_value > 0 AND o.refunded_value >= o.sales_value)
"""
_AWAY = """
CREATE OR REPLACE TABLE away AS
SELECT person_id FROM (
    SELECT p.person_id, c.tag, arg_max(c.new_value, c.state_version) AS value
    FROM measured AS p JOIN changes AS c ON c.person_id = p.then_id AND c.state_version <= p.publication
    WHERE c.workspace_id = $workspace AND list_contains($tags, c.tag)
    GROUP BY 1, 2)
GROUP BY 1 HAVING bool_or(value = 'true')
"""
_COUNTED = """
SELECT is_control, count(*), count(*) FILTER (b.person_id IS NOT NULL), count(*) FILTER (w.person_id IS NOT NULL),
    count(*) FILTER (w.person_id IS NOT NULL AND b.person_id IS NOT NULL)
FROM measured AS p LEFT JOIN bought AS b USING (person_id) LEFT JOIN away AS w USING (person_id)
WHERE p.is_control = p.is_pure AND p.at_us + $window_us <= $now_us
GROUP BY 1
"""
_LEFT_OUT = """
SELECT count(*) FILTER (is_control <> is_pure), count(*) FILTER (is_control = is_pure AND at_us + $window_us > $now_us)
FROM measured
"""


def report(
    lake: Lake, assigned: Iterable[pa.RecordBatch], published: Published, *, window: timedelta, now: datetime
) -> dict[str, object]:
    """Counts of both groups, and differences with their intervals.

    Of the persons whose `window` since their first assignment is over: how many bought within it (paid, not wholly
    refunded), how many were silent or dormant then, and how many of these bought. In: rows of `Store.assigned`; the
    tags in force, whose identity snapshot says who bought.
    """
    _load(lake, assigned)
    values: dict[str, Any] = {
        "workspace": published.workspace,
        "snapshot_us": published.snapshot_us,
        "window_us": window // timedelta(microseconds=1),
        "now_us": micros_of(now),
        "tags": list(AWAY_TAGS),
    }
    lake.rows(_PERSONS, {"persons": PERSONS}, _only(values, "snapshot_us"))
    lake.rows(_BOUGHT, {"orders": ORDERS, "map": IDENTITY_MAP}, _only(values, "workspace", "snapshot_us", "window_us"))
    lake.rows(_AWAY, {"changes": TAG_CHANGES}, _only(values, "workspace", "tags"))
    groups = {bool(row[0]): row[1:] for row in lake.rows(_COUNTED, {}, _only(values, "window_us", "now_us"))}
    mixed, waiting = lake.rows(_LEFT_OUT, {}, _only(values, "window_us", "now_us"))[0]
    told, control = (groups.get(is_control, (0, 0, 0, 0)) for is_control in (False, True))
    return {
        "snapshot_id": published.snapshot_id,
        "window_days": window / timedelta(days=1),
        "told": _named(told),
        "control": _named(control),
        "in_both_groups": mixed,
        "window_not_over": waiting,
        "bought_uplift": _uplift(Share(told[1], told[0]), Share(control[1], control[0])),
        "reactivated_uplift": _uplift(Share(told[3], told[2]), Share(control[3], control[2])),
    }


def _load(lake: Lake, assigned: Iterable[pa.RecordBatch]) -> None:
    columns = "person_id VARCHAR, is_control BOOLEAN, publication BIGINT, assigned_at VARCHAR"
    lake.duck.execute(f"CREATE OR REPLACE TABLE assigned ({columns})")
    for batch in assigned:
        lake.duck.register("given", pa.Table.from_batches([batch]))
        lake.duck.execute("INSERT INTO assigned SELECT person_id, is_control, publication, assigned_at FROM given")
        lake.duck.unregister("given")


def _only(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names}


def _named(group: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(("persons", "bought", "silent_or_dormant", "reactivated"), group, strict=True))


def _uplift(told: Share, control: Share) -> dict[str, float] | None:
    """The difference of shares, and the ends of its interval; None where a group is empty."""
    found = difference(told, control)
    if found is None:
        return None
    return {**dict(zip(("difference", "lower", "upper"), map(_rounded, found), strict=True)), "level": LEVEL}


def _rounded(number: float) -> float:
    return round(number, 6)
