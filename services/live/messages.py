"""A message of the events topic, read as the stream reads it (`spark_jobs/ingest/messages.py`), without Spark.

Two readers of JSON differ at its edges. What is in the plain form that producers send is read here; whatever else the
stream may make of a message is left to the batch (UNDECIDED), so a live answer may miss an event, and never counts
one that the batch refuses. A test holds both readers to each other.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from services.live.records import ident_of
from spark_jobs.contracts.core import CLOCK_ERROR, FIRST_EVENT_AT
from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES
from spark_jobs.tagging.calendar import micros

Left = Literal["other", "refused", "undecided", "anonymous"]
OTHER: Left = "other"  # of another workspace
REFUSED: Left = "refused"  # by the stream as well
UNDECIDED: Left = "undecided"
ANONYMOUS: Left = "anonymous"  # without an identifier: nobody's

Fields = dict[str, str | None]

_TEXTS = ("event_id", "workspace_id", "source", "name", "occurred_at")
_REQUIRED = ("event_id", "source", "name")
_TOUCHPOINT = ("app", "terminal", "channel", "campaign")
_IDENTIFIER = ("type", "scope", "token", "kid")
_TOKEN = re.compile(r"[0-9a-f]{32}")  # a token in hex, no secret
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-7]):[0-9]{2})?"
)
_FIRST = datetime.fromisoformat(FIRST_EVENT_AT).replace(tzinfo=UTC)
_PURCHASE = "purchase"
_MONEY_FIELDS = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
# So few digits on so few lines that no sum of theirs is too large for the stream.
_MONEY, _PIECES, _MOST_LINES = re.compile(r"[0-9]{1,11}(\.[0-9]{1,2})?"), re.compile(r"[0-9]{1,15}"), 1000


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One valid event: 60 bits of its id, the token that it is attributed by, its moment (microseconds), its fields."""

    ident: int
    token: bytes
    at: int
    fields: Fields


class _LeftError(Exception):
    """The message is no event for this workspace."""

    def __init__(self, reason: Left) -> None:
        super().__init__(reason)
        self.reason = reason


def read(value: bytes | None, received_ms: int, workspace: str) -> LiveEvent | Left:
    """The event of a message, or why it is none for this workspace. received_ms: the broker's time, since 1970 UTC."""
    if value is None or not _may_be_of(value, workspace):
        return OTHER
    try:
        return _event(json.loads(value.decode()), received_ms, workspace)
    except _LeftError as left:
        return left.reason
    except UnicodeDecodeError:
        return REFUSED
    except (ValueError, RecursionError):
        return UNDECIDED


def _event(content: Any, received_ms: int, workspace: str) -> LiveEvent:  # noqa: ANN401 - JSON
    if not isinstance(content, dict) or not _are_texts(content, _TEXTS):
        raise _LeftError(UNDECIDED)
    if content.get("workspace_id") != workspace:
        raise _LeftError(OTHER)
    if any(_is_blank(content.get(name)) for name in _REQUIRED):
        raise _LeftError(REFUSED)
    at, token = _moment(content.get("occurred_at"), received_ms), _subject(content.get("identifiers"))
    touched = content.get("touchpoint")
    touched = {} if touched is None else touched
    if not isinstance(touched, dict) or not _are_texts(touched, _TOUCHPOINT):
        raise _LeftError(UNDECIDED)
    if content["name"] == _PURCHASE and not _is_plain_purchase(content.get("properties")):
        raise _LeftError(UNDECIDED)
    fields: Fields = {name: touched.get(name) for name in _TOUCHPOINT}
    fields |= {"name": content["name"], "source": content["source"]}
    return LiveEvent(ident_of(content["event_id"]), token, at, fields)


def _may_be_of(value: bytes, workspace: str) -> bool:
    """False for most messages of other workspaces, before anything is parsed; names may be escaped in JSON."""
    return b'"' + workspace.encode() + b'"' in value or b"\\u" in value


def _are_texts(content: dict[str, Any], names: tuple[str, ...]) -> bool:
    return all(isinstance(content.get(name), str | None) for name in names)


def _is_blank(text: str | None) -> bool:
    return text is None or not text.strip(" ")


def _moment(text: str | None, received_ms: int) -> int:
    if text is None:
        raise _LeftError(REFUSED)
    if not _MOMENT.fullmatch(text):
        raise _LeftError(UNDECIDED)
    at = datetime.fromisoformat(text)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    received = datetime.fromtimestamp(received_ms / 1000, UTC)
    if at < _FIRST or at > received + CLOCK_ERROR:
        # Floats of milliseconds are not exact: what lies so near the edge is not decided here.
        is_sure = at < _FIRST or at > received + CLOCK_ERROR + timedelta(milliseconds=1)
        raise _LeftError(REFUSED if is_sure else UNDECIDED)
    return micros(at)


def _subject(identifiers: object) -> bytes:
    """The token of the strongest identifier; scope and token break ties."""
    given = [] if identifiers is None else identifiers
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise _LeftError(UNDECIDED)
    if any(one.get("value") is not None for one in given):
        raise _LeftError(REFUSED)  # a clear identifier
    if not all(_are_texts(one, _IDENTIFIER) for one in given):
        raise _LeftError(UNDECIDED)
    declared = [one for one in given if one.get("type") in IDENTIFIER_TYPES]
    if not all(_TOKEN.fullmatch(one.get("token") or "") for one in declared):
        raise _LeftError(REFUSED)
    ranked = [
        (IDENTIFIER_TYPES[one["type"]].priority, one.get("scope") or "", bytes.fromhex(one["token"]))
        for one in declared
    ]
    if not ranked:
        raise _LeftError(ANONYMOUS)
    return min(ranked)[2]


def _is_plain_purchase(properties: object) -> bool:
    """Whether order, store and lines are such that the stream certainly takes the purchase."""
    if not isinstance(properties, dict):
        return False
    lines = properties.get("lines")
    named = (properties.get(name) for name in ("order_id", "store_id"))
    if not all(isinstance(one, str) and one.strip(" ") for one in named) or not isinstance(lines, list):
        return False
    if not 0 < len(lines) <= _MOST_LINES or not all(isinstance(one, dict) and _is_plain_line(one) for one in lines):
        return False
    return len({one["product_id"] for one in lines}) == len(lines)


def _is_plain_line(line: dict[str, Any]) -> bool:
    product = line.get("product_id")
    return (
        isinstance(product, str)
        and bool(product)
        and _PIECES.fullmatch(_number(line.get("quantity"))) is not None
        and all(_MONEY.fullmatch(_number(line.get(name))) for name in _MONEY_FIELDS)
    )


def _number(given: object) -> str:
    """The text of a number; '' where it is neither text nor a whole number."""
    if isinstance(given, str):
        return given
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else ""
