"""Fields become values of the contract's types, or a reason why not: nothing is rounded, cut or guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Keys
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration.conversions import FLOATS, JSON_TIMES, Way, way
from migration.mapping import EPOCHS, Cast, Constant, DayOf, JsonOf, Mapping, Rule
from migration.sources.arrival import LATEST
from spark_jobs.contracts.core import FIRST_EVENT_AT, IDENTIFIER_STRUCT
from spark_jobs.contracts.schema import Column as ContractColumn
from spark_jobs.errors import TerminalError

_EXACT = "decimal(38,18)"
_TOKEN_BYTES = 16
# The microseconds of the years 1 to 9999: other tools cannot show the times beyond.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the source and its type."""

    column: Column
    kind: str


def apply_rules(records: DataFrame, header: Sequence[str], mapping: Mapping) -> DataFrame:
    """Add the target columns that need no key, and `reason` where one of them is refused.

    In:  records (`Source.records`).
    Out: the same rows without fields; the target columns of all rules but `token` and `tokens`; the clear identifiers
         as `clear_0`, `clear_1`... in the order of `mapping.identifiers`, null where the row is refused.
    """
    fields = _fields(records, header)
    contract = {column.name: column for column in mapping.table.columns}
    plain = [rule for rule in mapping.rules if not isinstance(rule, DayOf) and _fills(rule)]
    days = [rule for rule in mapping.rules if isinstance(rule, DayOf)]
    is_whole = F.col("reason").isNull()
    values = {rule.target: _value(rule, fields, contract[rule.target].type, mapping.zone) for rule in plain}
    clear = {f"clear_{n}": _text(fields[i.source]) for n, i in enumerate(mapping.identifiers)}
    # '' is no identifier; it is missing.
    clear = {name: F.when(is_whole, F.nullif(F.trim(value), F.lit(""))) for name, value in clear.items()}
    reasons = [
        reason
        for rule in plain
        if isinstance(rule, Cast)
        for reason in _refusals(rule, fields[rule.source], contract[rule.target], mapping)
    ]
    typed = records.withColumns({**values, **clear})
    typed = typed.withColumns({rule.target: F.to_date(rule.moment) for rule in days})
    return typed.withColumn("reason", F.coalesce("reason", *reasons)).drop("fields", LATEST)


def _fields(records: DataFrame, header: Sequence[str]) -> dict[str, Field]:
    kinds = dict(records.select("fields.*").dtypes)
    members = [(name, f"f{number}") for number, name in enumerate(header)]
    return {name: Field(F.col("fields").getField(member), kinds[member]) for name, member in members}


def _fills(rule: Rule) -> bool:
    return isinstance(rule, (Cast, Constant, JsonOf))


def _text(field: Field) -> Column:
    return field.column if field.kind == "string" else field.column.cast("string")


def _value(rule: Rule, fields: Keys[str, Field], kind: str, zone: str) -> Column:
    if isinstance(rule, Constant):
        return F.lit(rule.value).cast(kind)
    if isinstance(rule, JsonOf):
        filled = [_member(fields[name]).alias(name) for name in rule.sources]
        # Null fields are left out; the keys are sorted in the mapping.
        return F.to_json(F.struct(*filled), JSON_TIMES)
    assert isinstance(rule, Cast)
    return _converted(rule, fields[rule.source], kind, zone)


def _converted(rule: Cast, field: Field, kind: str, zone: str) -> Column:
    match way(field.kind, kind):
        case Way.SAME:
            return field.column
        case Way.WIDER:
            return field.column.cast(kind)
        case Way.TEXT if rule.pattern in EPOCHS:
            return _since_epoch(field.column, EPOCHS[rule.pattern])
        case Way.TEXT if kind != "timestamp":
            return _parsed(field.column, rule, kind)
        case Way.TEXT | Way.LOCAL:
            # Of an hour that comes twice when clocks go back, the first is taken.
            local = _local(field, rule)
            return local if zone == "UTC" else F.to_utc_timestamp(local, zone)
        case Way.CHECKED:
            return _cast(field.column, field.kind, kind)
        case None:
            # Planning refuses it (`conversions.type_problem`); a cast would guess.
            raise TerminalError(f"column {rule.source!r} is {field.kind} and cannot become {rule.target} ({kind})")


def _member(field: Field) -> Column:
    return F.nullif(field.column, F.lit("")) if field.kind == "string" else field.column


def _parsed(text: Column, rule: Cast, kind: str) -> Column:
    if kind == "date" and rule.pattern:
        return F.to_date(F.try_to_timestamp(text, F.lit(rule.pattern)))
    return text.try_cast(kind)


def _since_epoch(text: Column, decimals: int) -> Column:
    """The time that a number since 1970 says, to the microsecond; null where it says more than that, or no time."""
    exact = text.try_cast(_EXACT)
    kept = exact.try_cast(f"decimal({20 + decimals},{decimals})")
    micros = F.when(exact == kept, kept * F.lit(10**decimals)).try_cast("bigint")
    return F.timestamp_micros(F.when(micros.between(_FIRST_US, _LAST_US), micros))


def _local(field: Field, rule: Cast) -> Column:
    """What a clock of the mapping's zone showed, as if it were UTC, which is the session's zone."""
    if field.kind == "string":
        return F.try_to_timestamp(field.column, F.lit(rule.pattern))
    return field.column.cast("timestamp")


def _cast(column: Column, kind: str, to: str) -> Column:
    value = column.try_cast(to)
    # Of 2^63, which is no bigint, Spark makes the largest one.
    return F.when(column < F.lit(2.0**63), value) if kind in FLOATS and to == "bigint" else value


def _refusals(rule: Cast, field: Field, column: ContractColumn, mapping: Mapping) -> list[Column]:
    """Why the value is refused, by source column and rule; never its content. Empty where nothing can be wrong."""
    happened = column.name == mapping.table.happened_at
    checks = [*_checks(rule, field, column, mapping.zone), *_limits(rule, column, is_event_time=happened)]
    reason: Column | None = None
    for is_wrong, why in checks:
        text = f"{rule.source}: {why}"
        reason = F.when(is_wrong, text) if reason is None else reason.when(is_wrong, text)
    return [] if reason is None else [reason]


def _checks(rule: Cast, field: Field, column: ContractColumn, zone: str) -> Iterator[tuple[Column, str]]:
    source, value, kind = field.column, F.col(rule.target), column.type
    how, decimals = way(field.kind, kind), re.fullmatch(r"decimal\(\d+,(\d+)\)", kind)
    is_empty = source.isNull()
    if how is Way.TEXT:
        is_empty |= (F.trim(source) == "") & F.lit(kind != "string")
    if how is Way.TEXT or (how is Way.CHECKED and decimals):
        yield ~is_empty & value.isNull(), f"not a {kind}"
    if not column.nullable:
        yield is_empty, "missing"
    if how is Way.TEXT and decimals:
        # A cast would round 0.125 to 0.13 in silence.
        yield source.try_cast(_EXACT) != value, f"more than {decimals[1]} decimals"
    if how is Way.CHECKED:
        is_same = _cast(value, kind, field.kind).eqNullSafe(source)
        yield ~is_same, f"more than {decimals[1]} decimals" if decimals else f"not a {kind}"
    if kind == "timestamp" and how is not Way.SAME and zone != "UTC" and rule.pattern not in EPOCHS:
        yield F.from_utc_timestamp(value, zone) != _local(field, rule), f"a time that {zone} skipped"
    if kind == "binary":
        yield F.octet_length(source) != _TOKEN_BYTES, f"not {_TOKEN_BYTES} bytes"
    if kind == f"array<{IDENTIFIER_STRUCT}>":
        is_token = F.forall(source, lambda one: F.octet_length(one.getField("token")).eqNullSafe(_TOKEN_BYTES))
        yield ~is_token, f"a token that is not {_TOKEN_BYTES} bytes"


def _limits(rule: Cast, column: ContractColumn, *, is_event_time: bool) -> Iterator[tuple[Column, str]]:
    value = F.col(rule.target)
    since = rule.since or (FIRST_EVENT_AT if is_event_time else None)
    if rule.minimum is not None:
        yield value < F.lit(rule.minimum), f"less than {rule.minimum:g}"
    if since is not None:
        yield value < F.lit(since).cast(column.type), f"before {since}"
    if rule.until is not None:
        yield value >= F.lit(rule.until).cast(column.type), f"not before {rule.until}"
    elif is_event_time:
        yield value > F.col(LATEST).cast(column.type), "in the future: over a day after its source's time"
