"""Who held an identifier at a moment, by the identity snapshot that a generation of live tags stands on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.live.progress import Progress
from services.profiles.database import Database, Value

_AT_ONCE = 512
_MOST_KNOWN = 200_000

# [from, to) in microseconds since 1970 UTC, and the person.
Span = tuple[int, int, int]


class Holders:
    """Looks identifiers up and remembers them: a generation's identity never changes."""

    def __init__(self, database: Database, of: Progress) -> None:
        """Nothing is known yet."""
        self._database, self._of = database, of
        self._known: dict[bytes, tuple[Span, ...]] = {}

    def learn(self, tokens: Iterable[bytes]) -> None:
        """Look up those that are not known yet; nobody's are known as such afterwards."""
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        fresh = [token for token in dict.fromkeys(tokens) if token not in self._known]
        for start in range(0, len(fresh), _AT_ONCE):
            self._look_up(fresh[start : start + _AT_ONCE])

    def holder(self, token: bytes, at: int) -> int | None:
        """The person number of who held a learned identifier at a moment; None for nobody."""
        return next((person for since, until, person in self._known[token] if since <= at < until), None)

    def _look_up(self, tokens: Sequence[bytes]) -> None:
        self._known |= dict.fromkeys(tokens, ())
        marks = ", ".join("?" for _ in tokens)
        for_ever = f"SELECT token, person_no FROM identifiers_{self._of.identity_no} WHERE token IN ({marks})"
        for token, person_no in self._database.rows(for_ever, tokens):
            self._known[_bytes(token)] = ((-(2**63), 2**63, int(person_no or 0)),)
        # What changed hands, or began, stands there with all its spans.
        spans = f"SELECT token, packed FROM spans_{self._of.number} WHERE token IN ({marks})"
        for token, packed in self._database.rows(spans, tokens):
            self._known[_bytes(token)] = tuple(_span(one) for one in str(packed).split(";"))


def _span(text: str) -> Span:
    since, until, person_no = (int(part) for part in text.split(","))
    return since, until, person_no


def _bytes(value: Value) -> bytes:
    assert isinstance(value, bytes)
    return value
