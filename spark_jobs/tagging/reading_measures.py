"""Measures of a definition, from YAML to values; every problem is noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spark_jobs.findings import Keys, listed, shown
from spark_jobs.tagging.definitions import Sensitivity
from spark_jobs.tagging.measures import (
    Attribute,
    Between,
    Count,
    Days,
    Distribution,
    First,
    Given,
    Last,
    Measure,
    Preference,
    Quantile,
    Ratio,
    Recency,
    Rhythm,
    Score,
    Selection,
    Sequence,
    Since,
    Sum,
    TagValue,
    Then,
    Unit,
)
from spark_jobs.tagging.reading_where import SELECTING, Context, read_selection, read_span
from spark_jobs.tagging.vocabulary import counted, type_of

MOST_BANDS = 100
MOST_SHARES = 20
WITHIN_UNITS: tuple[Unit, ...] = ("hours", "days")

PLAIN: dict[str, Callable[[Selection], Measure]] = {
    "count": Count,
    "first": First,
    "last": Last,
    "recency": Recency,
    "since": Since,
    "days": Days,
    "span": Between,
    "rhythm": Rhythm,
}
# Kind to its keys; the kind itself is one of them and says of what.
KINDS: Mapping[str, Keys] = {
    **{kind: {kind: True, **SELECTING} for kind in PLAIN},
    "sum": {"sum": True, **SELECTING},
    "preference": {"preference": True, "by": False, "at_least_share": False, **SELECTING},
    "distribution": {"distribution": True, "by": False, "most": False, **SELECTING},
    "attribute": {"attribute": True},
    "imported": {"imported": True},
    "manual": {"manual": True},
    "score": {"score": True},
    "tag": {"tag": True},
    "sequence": {"sequence": True, "window": True},
    "ratio": {"ratio": True},
    "quantile": {"quantile": True, "bands": True},
}
SEQUENCE_KEYS: Keys = {"first": True, "without": False, "then": False, "within": True}
SIDE_KEYS: Keys = {"source": True, "where": False}

_BROKEN = Count(Selection("members"))
Raw = Mapping[str, object]


def read_measure(raw: object, where: str, context: Context) -> Measure | None:
    """One measure; None where it has problems."""
    before = len(context.findings.problems)
    kinds = [key for key in raw if key in KINDS] if isinstance(raw, dict) else []
    if len(kinds) != 1 or not isinstance(raw, dict):
        found = f"keys {listed(list(map(str, raw)))}" if isinstance(raw, dict) else shown(raw)
        context.findings.add(where, f"found {found}, wanted exactly one kind of: {listed(KINDS)}")
        return None
    kind = kinds[0]
    given = context.findings.mapping(raw, where, KINDS[kind])
    measure = _READERS.get(kind, _read_plain)(given, where, context)
    return measure if len(context.findings.problems) == before else None


def _read_plain(given: Raw, where: str, context: Context) -> Measure:
    kind = next(key for key in given if key in PLAIN)
    return PLAIN[kind](read_selection(given, given[kind], where, context))


def _split_field(raw: object, where: str, context: Context, *, texts: bool) -> tuple[str, str]:
    # `purchases.net_value`: a source and one of its fields.
    sources = counted(context.sources)
    source, _, field = raw.partition(".") if isinstance(raw, str) else ("", "", "")
    kind = "text" if texts else "number"
    if source not in sources or not field:
        context.findings.add(
            where, f"found {shown(raw)}, wanted SOURCE.FIELD with a source of: {listed(sources)}, and a {kind} field"
        )
        return "purchases", "sales_value"
    fields = sources[source].texts if texts else tuple(sources[source].numbers)
    if field not in fields:
        context.findings.add(where, f"unknown {kind} field '{field}' of {source}; those that exist: {listed(fields)}")
    return source, field


def _read_sum(given: Raw, where: str, context: Context) -> Measure:
    source, field = _split_field(given["sum"], where, context, texts=False)
    decimals = context.sources[source].numbers.get(field, 0)
    return Sum(read_selection(given, source, where, context), field, decimals)


def _read_preference(given: Raw, where: str, context: Context) -> Measure:
    of, field, by = _weighed("preference", given, where, context)
    share = context.findings.share(given.get("at_least_share", 0), f"{where}.at_least_share")
    return Preference(of, field, by, share)


def _read_distribution(given: Raw, where: str, context: Context) -> Measure:
    of, field, by = _weighed("distribution", given, where, context)
    most = _whole(given.get("most", 5), f"{where}.most", context, (1, MOST_SHARES))
    return Distribution(of, field, by, most)


def _weighed(kind: str, given: Raw, where: str, context: Context) -> tuple[Selection, str, str | None]:
    source, field = _split_field(given[kind], where, context, texts=True)
    by = None
    if "by" in given:
        numbers = context.sources[source].numbers
        by = context.findings.choice(given["by"], f"{where}.by", numbers, what=f"number field of {source}")
    return read_selection(given, source, where, context), field, by


def _whole(raw: object, where: str, context: Context, bounds: tuple[int, int]) -> int:
    least, most = bounds
    if isinstance(raw, int) and not isinstance(raw, bool) and least <= raw <= most:
        return raw
    context.findings.add(where, f"found {shown(raw)}, wanted a whole number from {least} to {most}")
    return least


def _declared(raw: object, where: str, context: Context, of: tuple[str, tuple[tuple[str, Sensitivity], ...]]) -> str:
    what, names = of
    return context.findings.choice(raw, where, [name for name, _ in names], what=what) or ""


def _read_attribute(given: Raw, where: str, context: Context) -> Measure:
    return Attribute(_declared(given["attribute"], where, context, ("attribute", context.head.attributes)))


def _read_imported(given: Raw, where: str, context: Context) -> Measure:
    return Given("imported", _declared(given["imported"], where, context, ("imported value", context.head.imported)))


def _read_manual(given: Raw, where: str, context: Context) -> Measure:
    return Given("manual", _declared(given["manual"], where, context, ("manual value", context.head.manual)))


def _read_score(given: Raw, where: str, context: Context) -> Measure:
    return Score(_declared(given["score"], where, context, ("model", context.head.scores)))


def _read_tag(given: Raw, where: str, context: Context) -> Measure:
    # Which tags there are is known when all files are read: `dependencies` looks for it.
    return TagValue(context.findings.text(given["tag"], where, is_needed=True))


def _read_sequence(given: Raw, where: str, context: Context) -> Measure:
    findings, place = context.findings, f"{where}.sequence"
    parts = findings.mapping(given.get("sequence"), place, SEQUENCE_KEYS)
    follower = "then" if "then" in parts else "without"
    if ("then" in parts) == ("without" in parts):
        findings.add(place, "found both or neither of then and without, wanted one of them")
    sides = []
    for side in ("first", follower):
        part = findings.mapping(parts.get(side), f"{place}.{side}", SIDE_KEYS)
        window = {"window": given["window"]} if side == "first" and "window" in given else {}
        sides.append(read_selection({**part, **window}, part.get("source"), f"{place}.{side}", context))
    first, second = sides
    within = read_span(parts.get("within"), f"{place}.within", findings, units=WITHIN_UNITS)
    if follower == "then":
        return Then(first, second, within)
    if (first.source, first.where) == (second.source, second.where):
        findings.add(place, "first and without are the same rows, wanted different ones")
    return Sequence(first, second, within)


def _named(raw: object, where: str, context: Context) -> Measure | None:
    if not isinstance(raw, str) or raw not in context.measures:
        above = listed(context.measures)
        context.findings.add(where, f"found {shown(raw)}, wanted a measure that stands above: {above}")
        return None
    measure = context.measures[raw]
    if measure is None or (type_of(measure) == "number" and not isinstance(measure, Ratio | Quantile | Score)):
        return measure
    context.findings.add(where, f"'{raw}' is no count, sum, recency or days")
    return None


def _read_ratio(given: Raw, where: str, context: Context) -> Measure:
    pair = given["ratio"]
    if not isinstance(pair, list) or len(pair) != 2:
        context.findings.add(where, f"found {shown(pair)}, wanted two measures: [part, whole]")
        return _BROKEN
    part, whole = (_named(name, where, context) for name in pair)
    return Ratio(part or _BROKEN, whole or _BROKEN)


def _read_quantile(given: Raw, where: str, context: Context) -> Measure:
    bands = _whole(given.get("bands"), f"{where}.bands", context, (2, MOST_BANDS))
    return Quantile(_named(given["quantile"], where, context) or _BROKEN, bands)


_READERS: dict[str, Callable[[Raw, str, Context], Measure]] = {
    "sum": _read_sum,
    "preference": _read_preference,
    "distribution": _read_distribution,
    "attribute": _read_attribute,
    "imported": _read_imported,
    "manual": _read_manual,
    "score": _read_score,
    "tag": _read_tag,
    "sequence": _read_sequence,
    "ratio": _read_ratio,
    "quantile": _read_quantile,
}
