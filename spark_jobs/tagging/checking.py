"""What can be said of a catalogue before any person is looked at: levels that overlap, leave gaps or never win.

The limits of a rule's comparisons cut what its measures may be into cells within which nothing changes; every
combination of cells is put to the same code that answers for persons.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, product
from math import prod

import numpy as np
import pyarrow as pa

from spark_jobs.errors import TerminalError
from spark_jobs.findings import listed
from spark_jobs.tagging.answers import answers_of_all
from spark_jobs.tagging.calendar import DAY_US, Calendar, moment_of
from spark_jobs.tagging.columns import Column, People
from spark_jobs.tagging.definitions import Catalogue, Comparison, Tag
from spark_jobs.tagging.dependencies import comparisons_of
from spark_jobs.tagging.features import ABSENT, NoTexts
from spark_jobs.tagging.frames import Booleans, Codes
from spark_jobs.tagging.measures import (
    Attribute,
    Count,
    Days,
    Given,
    Measure,
    Ratio,
    Score,
    Selection,
    Span,
    Sum,
    TagValue,
)
from spark_jobs.tagging.moment import NEVER, Moment
from spark_jobs.tagging.plan import Ranked, compile_plan, sources_of_tag
from spark_jobs.tagging.truth import truth_of
from spark_jobs.tagging.vocabulary import SOURCES, decimals_of, type_of

Cell = int | Decimal | str | None  # None: the measure is absent

MOST_CELLS = 50_000
_BASE = 20_000 * DAY_US  # some midnight
_RHYTHM = 10 * DAY_US  # some rhythm
_OTHER_TEXT = "any other text"


def check_catalogue(catalogue: Catalogue, moment: Moment) -> tuple[str, ...]:
    """Notes on levels that overlap and on gaps between them; TerminalError for tags that cannot mean what they say."""
    problems = _of_nobody(catalogue, moment)
    notes: list[str] = []
    for tag in catalogue.tags:
        if missing := sources_of_tag(tag, catalogue) & catalogue.head.unrecorded:
            notes.append(f"{tag.name}: {listed(missing)}: not recorded here, so what depends on it is unknown")
        for is_problem, text in _of_levels(tag):
            (problems if is_problem else notes).append(f"{tag.name}: {text}")
    if problems:
        raise TerminalError(f"catalogue of {catalogue.workspace}: nothing was computed:\n  " + "\n  ".join(problems))
    return tuple(notes)


def _of_nobody(catalogue: Catalogue, moment: Moment) -> list[str]:
    # Persons without any row have no row in the result, which says `otherwise`: so that must be their answer.
    plan = compile_plan(catalogue)
    numbers = [0 if isinstance(feature, Count | Sum | Days) else ABSENT for feature in plan.numbers]
    limits: dict[Ranked, tuple[int, ...]] = dict.fromkeys(plan.ranked, ())
    features = NoTexts(1, {of: np.array([number]) for of, number in zip(plan.numbers, numbers, strict=True)})
    nobody = People(moment, features, limits)
    answers = {tag.name: (given.values[0], tag.rule.otherwise) for tag, given in answers_of_all(plan, nobody)}
    return [
        f"{name}: persons of whom nothing is known would be '{value}', wanted '{otherwise}': "
        "set among to members, or a window that begins after history is complete"
        for name, (value, otherwise) in answers.items()
        if value != otherwise
    ]


def _some_moment() -> Moment:
    nothing = np.empty(0, dtype=np.int64)
    utc = Calendar(nothing, np.zeros(1, dtype=np.int64))
    return Moment(_BASE, "UTC", utc, dict.fromkeys(SOURCES, 0))


def _of_levels(tag: Tag) -> Iterator[tuple[bool, str]]:
    """Whether it is a problem, and what was found."""
    moment = _some_moment()
    cells: dict[Measure, list[Cell]] = {}
    for level in tag.rule.levels:
        for comparison in comparisons_of(level.when):
            for measure, values in _cells(comparison, moment):
                known = cells.setdefault(measure, [])
                known += [value for value in values if value not in known]
    if prod(len(values) for values in cells.values()) > MOST_CELLS:
        yield False, f"levels were not compared: more than {MOST_CELLS} combinations"
        return
    rows = list(product(*cells.values()))
    columns = {measure: _column(measure, [row[n] for row in rows], tag) for n, measure in enumerate(cells)}
    truths = [truth_of(level.when, columns, moment) for level in tag.rule.levels]
    example = [", ".join(_named(m, v) for m, v in zip(cells, row, strict=True)) for row in rows]
    yield from _overlaps(tag, [truth.certain for truth in truths], example)
    yield from _gaps(tag, [truth.possible for truth in truths], example)


def _overlaps(tag: Tag, certain: list[Booleans], example: list[str]) -> Iterator[tuple[bool, str]]:
    taken = np.zeros(len(example), dtype=np.bool_)
    for level, holds in zip(tag.rule.levels, certain, strict=True):
        if not np.any(holds & ~taken):
            yield True, f"level '{level.value}' can never be an answer: levels above it take every case"
        taken = taken | holds
    for (first, one), (second, other) in combinations(zip(tag.rule.levels, certain, strict=True), 2):
        if both := np.flatnonzero(one & other).tolist():
            yield (
                False,
                f"'{first.value}' and '{second.value}' overlap, as where {example[both[0]]}; '{first.value}' wins",
            )


def _gaps(tag: Tag, possible: list[Booleans], example: list[str]) -> Iterator[tuple[bool, str]]:
    # One level and the rest is a plain yes or no; more levels are read as a scale.
    uncovered = np.flatnonzero(~np.logical_or.reduce(possible)).tolist() if len(possible) > 1 else []
    if uncovered:
        yield False, f"no level covers {example[uncovered[0]]}: the answer there is '{tag.rule.otherwise}'"


def _cells(comparison: Comparison, moment: Moment) -> Iterator[tuple[Measure, list[Cell]]]:
    measure, operands = comparison.measure, comparison.operands
    absent: list[Cell] = [] if isinstance(measure, Count | Sum | Days | TagValue) else [None]
    if comparison.kind == "older_than_times" and comparison.other is not None:
        assert isinstance(operands[0], float)
        due = moment.base - int(_RHYTHM * operands[0]) - 1
        yield measure, [*absent, due, due + 1]
        yield comparison.other, [None, _RHYTHM]
    elif type_of(measure) == "instant":
        starts = [moment.start_of(operand) for operand in operands if isinstance(operand, Span)]
        yield measure, [*absent, *starts, *[start - 1 for start in starts], moment.base - 1]
    elif type_of(measure) == "text":
        yield measure, [*absent, *[str(operand) for operand in operands if isinstance(operand, str)], _OTHER_TEXT]
    elif type_of(measure) == "number":
        around = [value for operand in operands for value in _around(operand)]
        yield measure, [*absent, *[value for value in around if value >= 0 or isinstance(measure, Score)], 0]


def _around(limit: object) -> list[int | Decimal]:
    """A limit and the values on both sides of it."""
    if isinstance(limit, Decimal):
        # One decimal more than the limit has is near enough: nothing lies between but the like.
        step = Decimal(1).scaleb(min(int(limit.as_tuple().exponent), 0) - 1)
        return [limit - step, limit, limit + step]
    return [] if isinstance(limit, bool) or not isinstance(limit, int) else [limit - 1, limit, limit + 1]


def _column(measure: Measure, values: list[Cell], tag: Tag) -> Column:
    exists = np.array([value is not None for value in values], dtype=np.bool_)
    may_exist = np.ones_like(exists) if tag.rule.missing_is_unknown else exists
    never = np.full(len(values), NEVER, dtype=np.int64)
    if type_of(measure) == "text":
        nothing = np.zeros(len(values), dtype=np.int64)
        return Column(nothing, nothing, exists, may_exist, never, Codes.of(pa.array(values, type=pa.string())))
    if isinstance(measure, Ratio):
        unit = Fraction(10) ** ((decimals_of(measure.part) or 0) - (decimals_of(measure.whole) or 0))
        pairs = [(Fraction(value) * unit).as_integer_ratio() for value in values if isinstance(value, int | Decimal)]
        part, per = np.zeros(len(values), dtype=np.int64), np.ones(len(values), dtype=np.int64)
        part[exists], per[exists] = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        return Column(part, part, exists, may_exist, never, per=per)
    low = np.array([ABSENT if value is None else value for value in values], dtype=np.int64)
    high = np.array([NEVER if value is None else value for value in values], dtype=np.int64)
    return Column(low, high, exists, may_exist, never)


def _named(measure: Measure, value: Cell) -> str:
    """The measure and a value of it, as a note shows them."""
    name = name_of(measure)
    if value is None:
        return f"{name} is absent"
    if isinstance(value, str):
        return f"{name} is '{value}'"
    if type_of(measure) == "instant":
        return f"{name} is {(moment_of(_BASE) - moment_of(int(value))).total_seconds() / 86_400:.5g} days old"
    if type_of(measure) == "duration":
        return f"{name} is {int(value) / DAY_US:.5g} days"
    decimals = decimals_of(measure) if type_of(measure) == "number" else 0
    return f"{name} is {Decimal(value).scaleb(-(decimals or 0)).normalize():f}"


def name_of(measure: Measure) -> str:
    """A measure as notes and explanations name it: `last of purchases`."""
    match measure:
        case TagValue(name):
            return f"tag {name}"
        case Attribute(name):
            return f"attribute {name}"
        case Given(kind, name):
            return f"{kind} {name}"
        case Score(model):
            return f"score {model}"
        case _:
            of = getattr(measure, "of", None)
            source = f" of {of.source}" if isinstance(of, Selection) else ""
            return f"{type(measure).__name__.lower()}{source}{f'.{measure.field}' if isinstance(measure, Sum) else ''}"
