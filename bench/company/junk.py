"""Identifiers that mean nobody, as broken tracking sends them: each must be refused, its event kept."""

from __future__ import annotations

from bench.company.events import Identifier
from bench.company.places import SITE

_ZERO = "00000000-0000-0000-0000-000000000000"
# Share of all events, identifier. `badge` is a type that nobody declared.
_EVERYWHERE: tuple[tuple[float, Identifier], ...] = (
    (0.0020, ("cookie", SITE, "null")),
    (0.0020, ("device", "android", _ZERO)),
    (0.0010, ("device", "ios", "[object Object]")),
    (0.0005, ("cookie", SITE, "111111")),
    (0.0004, ("badge", "", "B-17")),
)
CONSTANT_PHONE = "13800138000"
_AT_LOGIN: tuple[tuple[float, Identifier], ...] = (
    (0.010, ("phone", "", CONSTANT_PHONE)),
    (0.005, ("phone", "", "12-3")),
)


def junk_for(event_name: str, share: float) -> tuple[Identifier, ...]:
    """The junk of an event whose draw in [0, 1) is `share`; mostly none."""
    edge = 0.0
    for width, identifier in (*_EVERYWHERE, *(_AT_LOGIN if event_name == "login" else ())):
        edge += width
        if share < edge:
            return (identifier,)
    return ()
