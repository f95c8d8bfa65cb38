"""Measures of a definition, from YAML to values; every problem is noted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from spark_jobs.tagging.definitions import (
    Attribute,
    Count,
    Days,
    First,
    Last,
    Measure,
    Preference,
    Quantile,
    Ratio,
    Recency,
    Rhythm,
    Selection,
    Sequence,
    Span,
    Sum,
    Unit,
)
from spark_jobs.tagging.findings import Findings, listed, shown
from spark_jobs.tagging.vocabulary import SOURCES, type_of

_SPAN = re.compile(r"(\d{1,5}) (hour|day|month)s?")
_UNITS: dict[str, Unit] = {"hour": "hours", "day": "days", "month": "months"}
_SELECTING = {"window", "where"}
MOST_BANDS = 100

_PLAIN: dict[str, Callable[[Selection], Measure]] = {
    "count": Count,
    "first": First,
    "last": Last,
    "recency": Recency,
    "days": Days,
    "rhythm": Rhythm,
}
KINDS = (*_PLAIN, "sum", "preference", "attribute", "sequence", "ratio", "quantile")


@dataclass(frozen=True, slots=True)
class Context:
    """What a measure may refer to: where problems go, declared attributes, measures above it in the file."""

    findings: Findings
    attributes: frozenset[str]
    measures: Mapping[str, Measure | None]


def read_measure(raw: object, where: str, context: Context) -> Measure | None:
    """One measure; None where it has problems."""
    before = len(context.findings.problems)
    kinds = [key for key in raw if key in KINDS] if isinstance(raw, dict) else []
    if len(kinds) != 1 or not isinstance(raw, dict):
        found = f"keys {listed(list(map(str, raw)))}" if isinstance(raw, dict) else shown(raw)
        context.findings.add(where, f"found {found}, wanted exactly one kind of: {listed(KINDS)}")
        return None
    measure = _READERS.get(kinds[0], _read_plain)(raw, where, context)
    return measure if len(context.findings.problems) == before else None


def read_span(raw: object, where: str, findings: Findings, *, units: tuple[Unit, ...] = ("days", "months")) -> Span:
    """A length such as `90 days`; a problem where it is none."""
    match = _SPAN.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if match and int(match[1]) > 0 and _UNITS[match[2]] in units:
        return Span(int(match[1]), _UNITS[match[2]])
    findings.add(
        where, f"found {shown(raw)}, wanted a number above 0 and one of {listed(units)}, such as '90 {units[0]}'"
    )
    return Span(1, units[0])


def read_selection(raw: Mapping[str, object], source: object, where: str, findings: Findings) -> Selection:
    """Rows of a source; `raw` may hold `where` and `window`."""
    name = findings.choice(source, where, SOURCES, what="source")
    filters = []
    if name is not None and "where" in raw:
        texts = SOURCES[name].texts
        for field, values in findings.entries(raw["where"], f"{where}.where").items():
            if findings.choice(field, f"{where}.where", texts, what=f"field of {name}"):
                filters.append((field, _values(values, f"{where}.where.{field}", findings)))
    window = read_span(raw["window"], f"{where}.window", findings) if "window" in raw else None
    return Selection(name or "members", tuple(sorted(filters)), window)


def _values(raw: object, where: str, findings: Findings) -> tuple[str, ...]:
    values = raw if isinstance(raw, list) else [raw]
    if not values:
        findings.add(where, "found an empty list, wanted at least one value")
    return tuple(sorted({findings.text(value, where) for value in values}))


def _read_plain(raw: Mapping[str, object], where: str, context: Context) -> Measure:
    kind = next(key for key in raw if key in _PLAIN)
    given = context.findings.mapping(raw, where, required={kind}, optional=_SELECTING)
    return _PLAIN[kind](read_selection(given, given[kind], where, context.findings))


def _split_field(raw: object, where: str, context: Context, *, texts: bool) -> tuple[str, str]:
    # `purchases.net_value`: a source and one of its fields.
    source, _, field = raw.partition(".") if isinstance(raw, str) else ("", "", "")
    kind = "text" if texts else "number"
    if source not in SOURCES or not field:
        context.findings.add(
            where, f"found {shown(raw)}, wanted SOURCE.FIELD with a source of: {listed(SOURCES)}, and a {kind} field"
        )
        return "purchases", "sales_value"
    fields = SOURCES[source].texts if texts else tuple(SOURCES[source].numbers or {})
    if field not in fields:
        context.findings.add(where, f"unknown {kind} field '{field}' of {source}; those that exist: {listed(fields)}")
    return source, field


def _read_sum(raw: Mapping[str, object], where: str, context: Context) -> Measure:
    given = context.findings.mapping(raw, where, required={"sum"}, optional=_SELECTING)
    source, field = _split_field(given["sum"], where, context, texts=False)
    return Sum(read_selection(given, source, where, context.findings), field)


def _read_preference(raw: Mapping[str, object], where: str, context: Context) -> Measure:
    optional = {*_SELECTING, "by", "at_least_share"}
    given = context.findings.mapping(raw, where, required={"preference"}, optional=optional)
    source, field = _split_field(given["preference"], where, context, texts=True)
    by = None
    if "by" in given:
        by = context.findings.choice(
            given["by"], f"{where}.by", SOURCES[source].numbers or {}, what=f"number field of {source}"
        )
    share = _share(given.get("at_least_share", 0), f"{where}.at_least_share", context.findings)
    return Preference(read_selection(given, source, where, context.findings), field, by, share)


def _share(raw: object, where: str, findings: Findings) -> Decimal:
    try:
        share = Decimal(str(raw))
        if not isinstance(raw, bool) and 0 <= share <= 1:
            return share.normalize()
    except InvalidOperation:
        pass
    findings.add(where, f"found {shown(raw)}, wanted a share from 0 to 1")
    return Decimal(0)


def _read_attribute(raw: Mapping[str, object], where: str, context: Context) -> Measure:
    given = context.findings.mapping(raw, where, required={"attribute"})
    name = context.findings.choice(given["attribute"], where, context.attributes, what="attribute")
    return Attribute(name or "")


def _read_sequence(raw: Mapping[str, object], where: str, context: Context) -> Measure:
    findings = context.findings
    given = findings.mapping(raw, where, required={"sequence", "window"})
    parts = findings.mapping(given.get("sequence"), f"{where}.sequence", required={"first", "without", "within"})
    sides = []
    for side in ("first", "without"):
        place = f"{where}.sequence.{side}"
        part = findings.mapping(parts.get(side), place, required={"source"}, optional={"where"})
        window = {"window": given["window"]} if side == "first" and "window" in given else {}
        selection = read_selection({**part, **window}, part.get("source"), place, findings)
        if SOURCES[selection.source].kept_apart == "order" or selection.source != "events":
            findings.add(place, f"found source '{selection.source}', wanted 'events': only events keep their moments")
        sides.append(selection)
    if sides[0].where == sides[1].where:
        findings.add(f"{where}.sequence", "first and without are the same events, wanted different ones")
    within = read_span(parts.get("within"), f"{where}.sequence.within", findings, units=("hours",))
    return Sequence(sides[0], sides[1], within)


def _named(raw: object, where: str, context: Context) -> Measure | None:
    if not isinstance(raw, str) or raw not in context.measures:
        above = listed(context.measures)
        context.findings.add(where, f"found {shown(raw)}, wanted a measure that stands above: {above}")
        return None
    measure = context.measures[raw]
    if measure is None or (type_of(measure) == "number" and not isinstance(measure, Ratio | Quantile)):
        return measure
    context.findings.add(where, f"'{raw}' is no count, sum, recency or days")
    return None


_BROKEN = Count(Selection("members"))


def _read_ratio(raw: Mapping[str, object], where: str, context: Context) -> Measure:
    given = context.findings.mapping(raw, where, required={"ratio"})
    pair = given["ratio"]
    if not isinstance(pair, list) or len(pair) != 2:
        context.findings.add(where, f"found {shown(pair)}, wanted two measures: [part, whole]")
        return _BROKEN
    part, whole = (_named(name, where, context) for name in pair)
    return Ratio(part or _BROKEN, whole or _BROKEN)


def _read_quantile(raw: Mapping[str, object], where: str, context: Context) -> Measure:
    given = context.findings.mapping(raw, where, required={"quantile", "bands"})
    bands = given.get("bands")
    if not isinstance(bands, int) or isinstance(bands, bool) or not 2 <= bands <= MOST_BANDS:
        context.findings.add(f"{where}.bands", f"found {shown(bands)}, wanted a whole number from 2 to {MOST_BANDS}")
        bands = 2
    return Quantile(_named(given["quantile"], where, context) or _BROKEN, bands)


_READERS: dict[str, Callable[[Mapping[str, object], str, Context], Measure]] = {
    "sum": _read_sum,
    "preference": _read_preference,
    "attribute": _read_attribute,
    "sequence": _read_sequence,
    "ratio": _read_ratio,
    "quantile": _read_quantile,
}
