"""What a definition may speak of: sources, their fields, and the type of each measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spark_jobs.contracts.core import CAMPAIGN_TARGETS, COUPON_REDEMPTIONS, EVENTS, MEMBERS, ORDER_LINES, ORDERS
from spark_jobs.contracts.schema import Table
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
    Sequence,
    Sum,
)

MeasureType = Literal["number", "instant", "duration", "text"]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Source:
    """What can be counted: the table behind it, its text fields, and its number fields with their decimals.

    kept_apart: which rows of one person, day and fields stay separate until the kernel: `order` or nothing (`day`).
    """

    table: Table
    meaning: str
    texts: tuple[str, ...] = ()
    numbers: Mapping[str, int] | None = None
    kept_apart: Literal["order", "day"] = "day"

    def decimals_of(self, field: str) -> int:
        """Decimals of a number field; KeyError where there is none of this name."""
        return (self.numbers or {})[field]


_MONEY = {"sales_value": 2, "discount_value": 2}

# The order is the source's number in the plan; add at the end.
SOURCES: dict[str, Source] = {
    "members": Source(MEMBERS, "registrations"),
    "purchases": Source(
        ORDERS,
        "orders that are paid and not fully refunded",
        texts=("store_id", "weekday"),
        numbers={**_MONEY, "gross_value": 2, "net_value": 2, "quantity": 0, "lines": 0},
        kept_apart="order",
    ),
    "purchase_lines": Source(
        ORDER_LINES,
        "lines of `purchases`",
        texts=("product_line", "category", "brand", "store_id", "weekday"),
        numbers={**_MONEY, "quantity": 0},
        kept_apart="order",
    ),
    "events": Source(EVENTS, "events of sites and apps", ("name", "app", "terminal", "channel", "campaign", "source")),
    "coupon_redemptions": Source(COUPON_REDEMPTIONS, "coupons redeemed, by day", texts=("campaign_id", "coupon_id")),
    "campaign_targets": Source(CAMPAIGN_TARGETS, "campaigns addressed to the member", texts=("campaign_id",)),
}
SOURCE_NUMBERS: dict[str, int] = {name: number for number, name in enumerate(SOURCES)}

# Attributes on a member's record are no registrations: their facts have a number of their own.
ATTRIBUTE_SOURCE = 100


def type_of(measure: Measure) -> MeasureType:
    """What a measure's values are."""
    match measure:
        case First() | Last() | Sequence():
            return "instant"
        case Rhythm():
            return "duration"
        case Preference() | Attribute():
            return "text"
        case _:
            return "number"


def decimals_of(measure: Measure) -> int | None:
    """Decimals behind the unit of a number measure; None for a ratio, which is no whole number of anything."""
    match measure:
        case Sum(of, field):
            return SOURCES[of.source].decimals_of(field)
        case Ratio():
            return None
        case Count() | Days() | Recency() | Quantile():
            return 0
        case _:
            raise ValueError(f"{type(measure).__name__} is not a number")
