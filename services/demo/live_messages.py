"""A collector's work on one line: parse, refuse or tokenise each identifier, choose the key of the message."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES, refusal
from spark_jobs.protection.tokens import Tokeniser

# Fields of the message's contract; anything else a site sends is left behind, as it could hold an identifier.
_FIELDS = (
    *("event_id", "workspace_id", "source", "name", "occurred_at", "authenticated", "session_key", "touchpoint"),
    "properties",
)
_MALFORMED = "not an object of type, scope and value"
_CACHED = 200_000  # values; one entry takes about 300 bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to Kafka."""

    key: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True)
class _Judged:
    """One value, judged once: `identifier` is what the message carries, `rank` orders subjects; or the refusal."""

    identifier: dict[str, str] | None
    rank: tuple[int, str, str] | None
    refused: dict[str, str] | None


class Collector:
    """Turns lines into messages; counts what it could not parse, and refused identifiers by reason."""

    def __init__(self, tokeniser: Tokeniser) -> None:
        """Nothing is counted yet."""
        self.unparsed = 0
        self.refused: Counter[str] = Counter()
        self._tokeniser = tokeniser
        self._judged: dict[tuple[str, str, str], _Judged] = {}

    def message(self, line: bytes) -> Message:
        """The message of one line; a line that is no JSON object stays as it is, without a key."""
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            self.unparsed += 1
            return Message(None, line)
        given = event.get("identifiers")
        judged = [self._judge(item) for item in given] if isinstance(given, list) else []
        kept = [item for item in judged if item.identifier is not None]
        content = {name: event[name] for name in _FIELDS if name in event}
        content["identifiers"] = [item.identifier for item in kept]
        refused = [item.refused for item in judged if item.refused is not None]
        if refused:
            content["refused"] = refused
            self.refused.update(reason["reason"] for reason in refused)
        key = self._key(event, kept)
        return Message(key, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())

    def _key(self, event: dict[str, object], kept: list[_Judged]) -> bytes:
        """Workspace and token of the strongest identifier, so that a person's events stay in order."""
        ranks = [item.rank for item in kept if item.rank is not None]
        subject = min(ranks)[2] if ranks else event.get("event_id")
        return f"{event.get('workspace_id')}/{subject}".encode()

    def _judge(self, item: object) -> _Judged:
        if not isinstance(item, dict):
            return _refused("", _MALFORMED)
        kind, scope, value = item.get("type"), item.get("scope", ""), item.get("value")
        if not isinstance(kind, str) or not isinstance(scope, str) or not isinstance(value, str):
            return _refused(kind if isinstance(kind, str) else "", _MALFORMED)
        known = self._judged.get((kind, scope, value))
        if known is None:
            known = self._judge_value(kind, scope, value)
            if len(self._judged) >= _CACHED:
                self._judged.clear()
            self._judged[kind, scope, value] = known
        return known

    def _judge_value(self, kind: str, scope: str, value: str) -> _Judged:
        reason = refusal(kind, value)
        if reason is not None:
            return _refused(kind, reason)
        token = self._tokeniser.token(kind, scope, value).hex()
        identifier = {"type": kind, "scope": scope, "token": token, "kid": self._tokeniser.kid}
        return _Judged(identifier, (IDENTIFIER_TYPES[kind].priority, scope, token), None)


def _refused(kind: str, reason: str) -> _Judged:
    # A type that nobody declared is a text of the sender's choice: it could be a value in the wrong place.
    declared = kind if kind in IDENTIFIER_TYPES else "undeclared"
    return _Judged(None, None, {"type": declared, "reason": reason})
