"""All sources as one stream of narrow facts: each table is read once, people are resolved once, rows move once.

A source becomes rows of one shape: who (identifier), which source, when, and slots for the fields that any tag needs.
Their union is joined to the identity map, moved to the person's partition, and summed there: a fact is one person,
source, day (or order, or moment where a sequence needs it) and combination of fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import reduce
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.people.resolve import with_person
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.measures import Filter, Selection
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import CUT, Bins, Plan, SourcePlan
from spark_jobs.tagging.projections import PROJECTIONS, given_rows, member_rows
from spark_jobs.tagging.vocabulary import SOURCE_NUMBERS, SOURCES

_SUBJECT = ("subject_type", "subject_scope", "subject_token")
_ONE_DAY = timedelta(days=1)
_LOOKED_UP = {"members": member_rows, "given_values": given_rows}


def facts_of(tables: Mapping[str, DataFrame], plan: Plan, moment: Moment, *, workspace: str) -> DataFrame:
    """Facts of every person before the base time, in order of persons within each partition.

    In:  contract table name to its rows (of one version each), `core.identity_map` among them.
    Out: person_no, person_id, source (number), part, rows, first_at, last_at (microseconds), t0.. (text), x0..
         (whole numbers: sums in units of the last decimal). Rows whose identifier nobody holds are left out.
    """
    sources = [_narrow(source, tables, plan, moment=moment, workspace=workspace) for source in plan.sources]
    everything = reduce(DataFrame.unionByName, sources)
    known = with_person(everything, tables["core.identity_map"], at="at").where(F.col("person_no").isNotNull())
    slots = [f"t{n}" for n in range(plan.text_slots)]
    numbers = [f"x{n}" for n in range(plan.number_slots)]
    # By person first: what follows, the sums included, stays in the partition, so rows move once.
    return (
        known.select("person_no", "person_id", "source", "part", F.unix_micros("at").alias("instant"), *slots, *numbers)
        .repartition("person_no")
        .groupBy("person_no", "person_id", "source", "part", *slots)
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.min("instant").alias("first_at"),
            F.max("instant").alias("last_at"),
            *[F.sum(name).alias(name) for name in numbers],
        )
        .sortWithinPartitions("person_no")
    )


def _narrow(
    source: SourcePlan, tables: Mapping[str, DataFrame], plan: Plan, *, moment: Moment, workspace: str
) -> DataFrame:
    """Rows of one source in the common shape, no more than some tag needs."""
    projected = PROJECTIONS[source.name](tables, source, moment, workspace=workspace)
    needed = projected.where(_is_needed(source, plan, moment))
    if source.name in _LOOKED_UP:
        return _LOOKED_UP[source.name](needed, plan)
    texts = [*[F.col(name) for name in source.texts], *[_bin(bins) for bins in source.bins]]
    numbers = [F.col(name) for name in source.numbers]
    return needed.select(
        *_SUBJECT,
        "at",
        F.lit(SOURCE_NUMBERS[source.name]).cast("tinyint").alias("source"),
        _part(source, moment).alias("part"),
        *[_slot(texts, n, "string").alias(f"t{n}") for n in range(plan.text_slots)],
        *[_slot(numbers, n, "bigint").alias(f"x{n}") for n in range(plan.number_slots)],
    )


def _bin(bins: Bins) -> Column:
    """The position of a number among the limits, as text; null where there is no number."""
    number = F.col(bins.field)
    passed = [(number >= limit).cast("int") + (number > limit).cast("int") for limit in bins.limits]
    position = reduce(Column.__add__, passed, F.when(number.isNotNull(), F.lit(0)))
    return position.cast("string")


def _slot(columns: list[Column], number: int, kind: str) -> Column:
    return columns[number].cast(kind) if number < len(columns) else F.lit(None).cast(kind)


def fact_day(at: Column, moment: Moment) -> Column:
    """A number that two instants share only if no window can begin, and no midnight lies, between them.

    Windows begin at the base time's time on the wall: so days are cut there, and at midnight as well.
    """
    base = moment_of(moment.base).astimezone(ZoneInfo(moment.zone))
    time_of_day = F.expr(f"INTERVAL '{base:%H:%M:%S.%f}' HOUR TO SECOND")
    here = F.to_date(F.from_utc_timestamp(at, moment.zone))

    def begins(day: Column) -> Column:
        return F.to_utc_timestamp(day.cast("timestamp") + time_of_day, moment.zone)

    is_before, is_after = at < begins(here), at >= begins(F.date_add(here, 1))
    day = F.unix_date(here) - is_before.cast("int") + is_after.cast("int")
    return (day * 2 + F.unix_date(here) % 2).cast("bigint")


def _part(source: SourcePlan, moment: Moment) -> Column:
    """What stays apart until the kernel: the order, the moment, or the day."""
    if SOURCES[source.name].kept_apart == "order":
        return F.col("order_hash")
    day = fact_day(F.col("at"), moment)
    for cut in source.cuts:
        # A window of hours begins within a day: rows before and behind its beginning stay apart.
        is_behind = (F.col("at") >= F.lit(moment_of(moment.start_of(cut)))).cast("bigint")
        day = day + is_behind * CUT
    if not source.moments:
        return day
    is_kept = reduce(Column.__or__, [matches(selection, moment) for selection in source.moments])
    # Days are small numbers and moments large ones: they never meet.
    return F.when(is_kept, F.unix_micros("at")).otherwise(day)


def _is_needed(source: SourcePlan, plan: Plan, moment: Moment) -> Column:
    is_before_base = F.col("at") < F.lit(moment_of(moment.base))
    # Orders decide which lines count, whatever the tags say of orders themselves. A line may be of a later moment than
    # its order, so no window of lines says which orders are needed.
    decides = source.name == "purchases" and any(other.name == "purchase_lines" for other in plan.sources)
    if source.name == "given_values":
        return is_before_base & is_asked_for(plan)
    if source.name == "members" or decides or any(not s.where and s.window is None for s in source.selections):
        return is_before_base
    return is_before_base & reduce(Column.__or__, [matches(selection, moment) for selection in source.selections])


def is_asked_for(plan: Plan) -> Column:
    """Whether a row of `given_values` is what some tag asks for."""
    pairs = [*plan.given, *(("score", model) for model in plan.models)]
    return reduce(Column.__or__, [(F.col("kind") == kind) & (F.col("name") == name) for kind, name in pairs])


def matches(selection: Selection, moment: Moment) -> Column:
    """Whether a projected row passes a selection's filters and lies in its window, but for the window's end."""
    condition = F.lit(True)
    if selection.window is not None:
        start = moment_of(moment.start_of(selection.window))
        # The partition's UTC day is implied by the moment; said as well, it prunes files.
        condition = (F.col("at") >= F.lit(start)) & (F.col("at_date") >= F.lit((start - _ONE_DAY).date()))
    for wanted in selection.where:
        condition &= _passes(wanted)
    return condition


def _passes(wanted: Filter) -> Column:
    field, operands = F.col(wanted.field), wanted.operands
    match wanted.kind:
        case "in":
            return field.isin(*operands)
        case "not_in":
            return field.isNull() | ~field.isin(*operands)
        case "present":
            return field.isNotNull() if operands[0] else field.isNull()
        case kind:
            limit = F.lit(operands[0])
            return {"at_least": field >= limit, "above": field > limit, "at_most": field <= limit}.get(
                kind, field < limit
            )
