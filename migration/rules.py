"""Fields become typed values, or a reason why not: nothing is rounded, cut or guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping as Keys
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration.mapping import EPOCHS, Cast, Constant, DayOf, JsonOf, Mapping, Rule
from spark_jobs.contracts.schema import Column as ContractColumn

_EXACT = "decimal(38,18)"
# The microseconds of the years 1 to 9999: other tools cannot show the times beyond.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999


def apply_rules(records: DataFrame, header: Sequence[str], mapping: Mapping) -> DataFrame:
    """Add the target columns that need no key, and `reason` where one of them is refused.

    In:  records (`Source.records`).
    Out: the same rows without fields; the target columns of all rules but `token` and `tokens`; the clear identifiers
         as `clear_0`, `clear_1`... in the order of `mapping.identifiers`, null where the row is refused.
    """
    fields = {name: F.col("fields").getField(f"f{number}") for number, name in enumerate(header)}
    contract = {column.name: column for column in mapping.table.columns}
    plain = [rule for rule in mapping.rules if not isinstance(rule, DayOf) and _fills(rule)]
    days = [rule for rule in mapping.rules if isinstance(rule, DayOf)]
    is_whole = F.col("reason").isNull()
    values = {rule.target: _value(rule, fields, contract[rule.target].type, mapping.zone) for rule in plain}
    clear = {f"clear_{n}": fields[i.source] for n, i in enumerate(mapping.identifiers)}
    # '' is no identifier; it is missing.
    clear = {name: F.when(is_whole, F.nullif(F.trim(value), F.lit(""))) for name, value in clear.items()}
    reasons = [_refusal(r, fields, contract[r.target], mapping.zone) for r in plain if isinstance(r, Cast)]
    typed = records.withColumns({**values, **clear})
    typed = typed.withColumns({rule.target: F.to_date(rule.moment) for rule in days})
    return typed.withColumn("reason", F.coalesce("reason", *reasons)).drop("fields")


def _fills(rule: Rule) -> bool:
    return isinstance(rule, (Cast, Constant, JsonOf))


def _value(rule: Rule, fields: Keys[str, Column], kind: str, zone: str) -> Column:
    if isinstance(rule, Constant):
        return F.lit(rule.value).cast(kind)
    if isinstance(rule, JsonOf):
        filled = [F.nullif(fields[name], F.lit("")).alias(name) for name in rule.sources]
        return F.to_json(F.struct(*filled))  # null fields are left out; the keys are sorted in the mapping
    assert isinstance(rule, Cast)
    return _parsed(fields[rule.source], rule, kind, zone)


def _parsed(text: Column, rule: Cast, kind: str, zone: str) -> Column:
    if rule.pattern in EPOCHS:
        return _since_epoch(text, EPOCHS[rule.pattern])
    if kind == "timestamp":
        local = F.try_to_timestamp(text, F.lit(rule.pattern))
        # Of an hour that comes twice when clocks go back, the first is taken.
        return local if zone == "UTC" else F.to_utc_timestamp(local, zone)
    if kind == "date" and rule.pattern:
        return F.to_date(F.try_to_timestamp(text, F.lit(rule.pattern)))
    return text.try_cast(kind)


def _since_epoch(text: Column, decimals: int) -> Column:
    """The time that a number since 1970 says, to the microsecond; null where it says more than that, or no time."""
    exact = text.try_cast(_EXACT)
    kept = exact.try_cast(f"decimal({20 + decimals},{decimals})")
    micros = F.when(exact == kept, kept * F.lit(10**decimals)).try_cast("bigint")
    return F.timestamp_micros(F.when(micros.between(_FIRST_US, _LAST_US), micros))


def _refusal(rule: Cast, fields: Keys[str, Column], column: ContractColumn, zone: str) -> Column:
    """Why the value is refused, by source column and rule; never its content."""
    text, value = fields[rule.source], F.col(rule.target)
    is_empty = text.isNull() | ((F.trim(text) == "") & F.lit(column.type != "string"))
    says = f"{rule.source}: "
    reason = F.when(~is_empty & value.isNull(), f"{says}not a {column.type}")
    if not column.nullable:
        reason = reason.when(is_empty, f"{says}missing")
    if scale := re.fullmatch(r"decimal\(\d+,(\d+)\)", column.type):
        # A cast would round 0.125 to 0.13 in silence.
        reason = reason.when(text.try_cast(_EXACT) != value, f"{says}more than {scale[1]} decimals")
    if column.type == "timestamp" and zone != "UTC" and rule.pattern not in EPOCHS:
        local = F.try_to_timestamp(text, F.lit(rule.pattern))
        reason = reason.when(F.from_utc_timestamp(value, zone) != local, f"{says}a time that {zone} skipped")
    if rule.minimum is not None:
        reason = reason.when(value < F.lit(rule.minimum), f"{says}less than {rule.minimum:g}")
    if rule.since is not None:
        reason = reason.when(value < F.lit(rule.since).cast(column.type), f"{says}before {rule.since}")
    if rule.until is not None:
        reason = reason.when(value >= F.lit(rule.until).cast(column.type), f"{says}not before {rule.until}")
    return reason
