"""What can be measured of a person: frozen values that compare by content, so that equal questions are one question."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Unit = Literal["hours", "days", "months"]
FilterKind = Literal["in", "not_in", "at_least", "above", "at_most", "below", "present"]
GivenKind = Literal["imported", "manual"]

# A model's score is kept in units of its last decimal.
SCORE_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time: hours elapse; days and months are those of the workspace's calendar."""

    amount: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}"


@dataclass(frozen=True, slots=True)
class Filter:
    """What a field of a row must be. Numbers are in units of the field's last decimal.

    A row without the field passes `not_in` and `present: false` alone.
    """

    field: str
    kind: FilterKind
    operands: tuple[str | int | bool, ...]
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of one source that pass every filter; `window` is [base - window, base)."""

    source: str
    where: tuple[Filter, ...] = ()
    window: Span | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """Number of rows."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Sum:
    """Sum of a number field, in units of its last decimal (cents)."""

    of: Selection
    field: str
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class First:
    """Instant of the earliest row."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Last:
    """Instant of the latest row."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Recency:
    """Days back to the latest row: 1 is the day that ends at the base time."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Since:
    """Days back to the earliest row: 1 is the day that ends at the base time."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Days:
    """Number of dates of the workspace with at least one row."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Between:
    """Days from the first date with a row to the last one; absent without a row."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Mean time between dates with rows; absent with fewer than three such dates."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Preference:
    """The value of a text field with most rows, or the largest sum of `by`, if it has `at_least_share` of the whole.

    Ties: the value met last, then the smaller text.
    """

    of: Selection
    field: str
    by: str | None = None
    at_least_share: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """The `most` largest values of a text field with their shares of all rows, or of the sum of `by`, as JSON text."""

    of: Selection
    field: str
    by: str | None = None
    most: int = 5


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute on the member's record."""

    name: str


@dataclass(frozen=True, slots=True)
class Given:
    """A text that was said of the person from outside: imported from another system, or set by hand."""

    kind: GivenKind
    name: str


@dataclass(frozen=True, slots=True)
class Score:
    """The newest score that a model gave the person, in units of its last decimal."""

    model: str


@dataclass(frozen=True, slots=True)
class TagValue:
    """The answer of another tag of the catalogue."""

    tag: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Instant of the latest `first` in the window that no `without` followed in [first, first + within).

    It counts from first + within on: until then it is open.
    """

    first: Selection
    without: Selection
    within: Span


@dataclass(frozen=True, slots=True)
class Then:
    """Instant of the latest `first` in the window that a `then` followed, later than it and before first + within."""

    first: Selection
    then: Selection
    within: Span


@dataclass(frozen=True, slots=True)
class Ratio:
    """One number over another; absent where the other is zero."""

    part: Measure
    whole: Measure


@dataclass(frozen=True, slots=True)
class Quantile:
    """Band 1 (lowest) to `bands` among the tag's persons whose number is above zero; equal numbers share a band."""

    of: Measure
    bands: int


Aggregate = Count | Sum | First | Last | Recency | Since | Days | Between | Rhythm | Preference | Distribution
Measure = Aggregate | Attribute | Given | Score | TagValue | Sequence | Then | Ratio | Quantile
