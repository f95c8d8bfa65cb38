"""What a tag of one person follows from: the rows that its rule counts, one by one, and the answer that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.people.resolve import with_person
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.computing import answers_from
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.dependencies import measures_of
from spark_jobs.tagging.facts import is_asked_for, matches
from spark_jobs.tagging.limits import Limits
from spark_jobs.tagging.measures import Selection
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import BOUGHT, REGISTERED, Plan, SourcePlan, selections_of_measure
from spark_jobs.tagging.projections import PROJECTIONS, REF
from spark_jobs.tagging.rows import TIMER
from spark_jobs.tagging.told import label_of

SUBJECT = ("subject_type", "subject_scope", "subject_token")
Reasons = Mapping[Selection, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A value, and when time alone may change it: microseconds since 1970 UTC, None where it cannot."""

    value: str
    next_change_at: int | None


def evaluated(facts: DataFrame, plan: Plan, moment: Moment, limits: Limits) -> Answer:
    """The answer of the plan's last tag. In: facts of one person, of `facts_of`; nobody's give `otherwise`."""
    number = len(plan.tags) - 1
    answers = answers_from(facts, plan, moment, limits).where(F.col("tag").isin(number, TIMER))
    rows = {row["tag"]: row for row in answers.collect()}
    if number in rows:
        return Answer(rows[number]["value"], rows[number]["next_change_at"])
    waiting = (rows[TIMER]["waiting"] if TIMER in rows else None) or []
    due = [one["at"] for one in waiting if one["tag"] == number]
    return Answer(plan.tags[-1].rule.otherwise, due[0] if due else None)


def reasons_of(catalogue: Catalogue) -> Reasons:
    """What the rows of each selection are counted for: measures by tag, and who is a member or a customer at all."""
    found: dict[Selection, dict[str, None]] = {REGISTERED.of: {"registration": None}}
    for tag in catalogue.tags:
        if tag.rule.among == "customers":
            found.setdefault(BOUGHT.of, {})["customer"] = None
        for measure in measures_of(tag.rule):
            for selection in selections_of_measure(measure):
                found.setdefault(selection, {})[f"{tag.name}: {label_of(measure, catalogue.head)}"] = None
    return {selection: tuple(names) for selection, names in found.items()}


def counted_rows(
    tables: Mapping[str, DataFrame], plan: Plan, catalogue: Catalogue, moment: Moment, *, workspace: str
) -> DataFrame:
    """The rows that the tags of a catalogue count.

    In:  contract table name to its rows, the identity map among them, as `facts_of` takes them.
    Out: source, ref (what names the row in its table), at, subject, counted_for (texts of `reasons_of`), person_no;
         rows whose identifier nobody of the map holds at that moment are left out.
    """
    reasons = reasons_of(catalogue)
    parts = []
    for source in plan.sources:
        mine = {selection: names for selection, names in reasons.items() if selection.source == source.name}
        if mine:  # orders may be read for their lines alone
            rows = _rows_of(source, tables, plan, moment=moment, workspace=workspace)
            parts.append(_counted(rows, source, mine, moment))
    everything = reduce(DataFrame.unionByName, parts)
    known = with_person(everything, tables["core.identity_map"], at="at")
    return known.where(F.col("person_no").isNotNull()).drop("person_id")


def _rows_of(
    source: SourcePlan, tables: Mapping[str, DataFrame], plan: Plan, *, moment: Moment, workspace: str
) -> DataFrame:
    is_before = F.col("at") < F.lit(moment_of(moment.base))
    rows = PROJECTIONS[source.name](tables, source, moment, workspace=workspace).where(is_before)
    if source.name == "given_values":
        return rows.where(is_asked_for(plan))
    if source.name != "purchase_lines":
        return rows
    orders = PROJECTIONS["purchases"](tables, plan.source("purchases"), moment, workspace=workspace).where(is_before)
    # Lines count where their order does.
    return rows.join(orders.select("order_hash"), on="order_hash", how="left_semi")


def _counted(rows: DataFrame, source: SourcePlan, reasons: Reasons, moment: Moment) -> DataFrame:
    named = [
        F.when(matches(selection, moment), F.array(*[F.lit(name) for name in names]))
        for selection, names in reasons.items()
    ]
    counted_for = F.flatten(F.filter(F.array(*named), lambda one: one.isNotNull()))
    told = rows.select(
        F.lit(source.name).alias("source"), F.col(REF).alias("ref"), "at", *SUBJECT, counted_for.alias("counted_for")
    )
    return told.where(F.size("counted_for") > 0)
