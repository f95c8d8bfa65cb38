"""What a definition may speak of: sources, their fields, and the type of each measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from spark_jobs.contracts.core import CAMPAIGN_TARGETS, COUPON_REDEMPTIONS, EVENTS, MEMBERS, ORDER_LINES, ORDERS
from spark_jobs.contracts.journeys import GIVEN_VALUES, ORDER_CHANGES, SHARE_ORDERS, SHARES
from spark_jobs.contracts.schema import Table
from spark_jobs.tagging.definitions import Head
from spark_jobs.tagging.measures import (
    SCORE_DECIMALS,
    Attribute,
    Distribution,
    First,
    Given,
    Last,
    Measure,
    Preference,
    Ratio,
    Rhythm,
    Score,
    Sequence,
    Sum,
    TagValue,
    Then,
)

MeasureType = Literal["number", "instant", "duration", "text", "shares"]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Source:
    """What can be counted: the table behind it, its text fields, and its number fields with their decimals.

    kept_apart: which rows of one person, day and fields stay separate until the kernel: `order` or nothing (`day`).
    is_counted: false for what only measures of its own look at.
    """

    table: Table
    meaning: str
    texts: tuple[str, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    kept_apart: Literal["order", "day"] = "day"
    is_counted: bool = True


Sources = Mapping[str, Source]
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
    "orders_unpaid": Source(
        ORDER_CHANGES,
        "orders created and by the base time neither paid nor cancelled",
        texts=("store_id",),
        numbers={"value": 2},
    ),
    "refunds": Source(ORDER_CHANGES, "sums paid back", texts=("store_id",), numbers={"value": 2}),
    "shares": Source(SHARES, "links and cards that the person shared", texts=("object_type", "object_id", "channel")),
    "share_orders": Source(
        SHARE_ORDERS,
        "orders of others that the person's shares led to",
        texts=("store_id", "is_first_order"),
        numbers={"sales_value": 2},
    ),
    "given_values": Source(GIVEN_VALUES, "values said of a person from outside", is_counted=False),
}
SOURCE_NUMBERS: dict[str, int] = {name: number for number, name in enumerate(SOURCES)}

# Who is a member and who a customer is read of these, so no workspace is without them.
ALWAYS_RECORDED = ("members", "purchases")

# What is looked up by name is no row to be counted: such facts have numbers of their own.
ATTRIBUTE_SOURCE = 100
LOOKUP_NUMBERS: dict[str, int] = {"imported": 101, "manual": 102, "score": 103}


def sources_of_head(head: Head) -> Sources:
    """The sources as a catalogue may speak of them: events have the declared properties as fields, too."""
    events = SOURCES["events"]
    texts = tuple(prop.name for prop in head.properties if prop.decimals is None)
    numbers = {prop.name: prop.decimals for prop in head.properties if prop.decimals is not None}
    return {**SOURCES, "events": replace(events, texts=(*events.texts, *texts), numbers=numbers)}


def counted(sources: Sources) -> dict[str, Source]:
    """The sources whose rows a definition may count."""
    return {name: source for name, source in sources.items() if source.is_counted}


def type_of(measure: Measure) -> MeasureType:
    """What a measure's values are."""
    match measure:
        case First() | Last() | Sequence() | Then():
            return "instant"
        case Rhythm():
            return "duration"
        case Preference() | Attribute() | Given() | TagValue():
            return "text"
        case Distribution():
            return "shares"
        case _:
            return "number"


def decimals_of(measure: Measure) -> int | None:
    """Decimals behind the unit of a number measure; None for a ratio, which is no whole number of anything."""
    if type_of(measure) != "number":
        raise ValueError(f"{type(measure).__name__} is not a number")
    match measure:
        case Sum(_, _, decimals):
            return decimals
        case Score():
            return SCORE_DECIMALS
        case Ratio():
            return None
        case _:
            return 0
