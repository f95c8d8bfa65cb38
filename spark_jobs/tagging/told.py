"""Measures of one person as an explanation shows them: each with its filters and window, and its value as text."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from decimal import Decimal

import pyarrow as pa

from spark_jobs.tagging.aggregation import FrameFeatures
from spark_jobs.tagging.answers import Kernel, answers_of_all
from spark_jobs.tagging.calendar import DAY_US, moment_of
from spark_jobs.tagging.checking import name_of
from spark_jobs.tagging.columns import HIGHEST, LOWEST, Column, People
from spark_jobs.tagging.definitions import UNKNOWN, Head, Tag
from spark_jobs.tagging.dependencies import measures_of
from spark_jobs.tagging.frames import frame_of, whole_persons
from spark_jobs.tagging.limits import Limits
from spark_jobs.tagging.measured import columns_of
from spark_jobs.tagging.measures import Measure, Ratio, Selection
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan, selections_of_measure
from spark_jobs.tagging.vocabulary import decimals_of, sources_of_head, type_of

MEASURED_DDL = "measure string, value string"
ABSENT_TEXT = "absent"


def measured_kernel(plan: Plan, moment: Moment, limits: Limits, head: Head) -> Kernel:
    """A function for `mapInArrow`: facts of one person to rows of MEASURED_DDL, one per measure of the plan's last tag.

    `head` says how many decimals the numbers of filters have.
    """
    tag = plan.tags[-1]

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for table in whole_persons(batches):
            people = People(moment, FrameFeatures(frame_of(table, plan, moment)), limits)
            deque(answers_of_all(plan, people), maxlen=0)  # so that tags that the rule looks at are answered
            measured = list(_measured(tag, people, head))
            columns = [pa.array([row[n] for row in measured], type=pa.string()) for n in range(2)]
            yield pa.RecordBatch.from_arrays(columns, names=["measure", "value"])

    return kernel


def _measured(tag: Tag, people: People, head: Head) -> Iterator[tuple[str, str]]:
    rule = tag.rule
    measures = measures_of(rule)
    columns = columns_of(measures, people, among=rule.among, missing_is_unknown=rule.missing_is_unknown)
    for measure in measures:
        yield label_of(measure, head), value_of(measure, columns[measure])


def label_of(measure: Measure, head: Head) -> str:
    """The measure with its filters and window: `count of purchases, store_id in 1, 90 days`."""
    details = dict.fromkeys(text for one in selections_of_measure(measure) for text in _details(one, head))
    return ", ".join([name_of(measure), *details])


def _details(selection: Selection, head: Head) -> Iterator[str]:
    for wanted in selection.where:
        operands: Iterable[object] = wanted.operands
        if wanted.is_number and wanted.kind != "present":
            decimals = sources_of_head(head)[selection.source].numbers[wanted.field]
            operands = [f"{Decimal(operand).scaleb(-decimals).normalize():f}" for operand in wanted.operands]
        yield f"{wanted.field} {wanted.kind} {' or '.join(map(str, operands))}"
    if selection.window is not None:
        yield str(selection.window)


def value_of(measure: Measure, column: Column) -> str:
    """The value of the column's first person; `A to B` where history leaves it open, `open` for no bound at all."""
    if not column.exists[0]:
        return UNKNOWN if column.may_exist[0] else ABSENT_TEXT
    if type_of(measure) in ("text", "shares"):
        assert column.texts is not None
        return column.texts.values[int(column.texts.codes[0])]
    low, high = int(column.low[0]), int(column.high[0])
    if isinstance(measure, Ratio):
        assert column.per is not None
        return f"{_bound(measure.part, low)} / {_bound(measure.whole, int(column.per[0]))}"
    return _bound(measure, low) if low == high else f"{_bound(measure, low)} to {_bound(measure, high)}"


def _bound(measure: Measure, value: int) -> str:
    if value in (LOWEST, HIGHEST):
        return "open"
    if type_of(measure) == "instant":
        return moment_of(value).isoformat()
    if type_of(measure) == "duration":
        return f"{value / DAY_US:.5g} days"
    return f"{Decimal(value).scaleb(-(decimals_of(measure) or 0)):f}"
