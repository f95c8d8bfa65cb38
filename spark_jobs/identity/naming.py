"""How people name persons and identifiers on the command line: a master id, or `TYPE:VALUE`, `TYPE@SCOPE:VALUE`.

The value may be its token, `TYPE@SCOPE:token:HEX`, which is how identifiers are shown. A value in clear is never shown.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES, refusal
from spark_jobs.errors import TerminalError
from spark_jobs.findings import listed
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser

_VALUE = re.compile(r"(?P<type>[a-z_0-9]+)(@(?P<scope>[^:]*))?:(?P<value>.+)", re.DOTALL)
_TOKEN = re.compile(r"token:([0-9a-fA-F]{32})")
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class PersonName:
    """A master id, living or merged."""

    person_id: str


@dataclass(frozen=True, slots=True)
class ValueName:
    """An identifier, by its value or its token; every scope is meant where none is named."""

    type: str
    scope: str | None
    value: str | None = field(default=None, repr=False)
    token: bytes | None = None


Name = PersonName | ValueName


def named(text: str) -> Name:
    """What a text names; TerminalError, without the text, where it names nothing."""
    try:
        return PersonName(str(uuid.UUID(text)))
    except ValueError:
        pass
    found = _VALUE.fullmatch(text)
    if found is None:
        raise TerminalError("found neither a master id nor TYPE:VALUE or TYPE@SCOPE:VALUE, such as login@shop:ann")
    return value_named(found["type"], found["scope"], found["value"])


def value_named(kind: str, scope: str | None, value: str) -> ValueName:
    """The identifier of a type; TerminalError where no door makes tokens of it, or the value means nobody."""
    if token := _TOKEN.fullmatch(value):
        return ValueName(kind, scope, token=bytes.fromhex(token[1]))
    if kind not in IDENTIFIER_TYPES:
        raise TerminalError(f"no door makes tokens of type {kind!r}; those that exist: {listed(IDENTIFIER_TYPES)}")
    if reason := refusal(kind, value):
        raise TerminalError(f"the {kind} that was given can be nobody's: {reason}")
    return ValueName(kind, scope, value=value)


def tokens_of(name: ValueName, scopes: Iterable[str], key_file: Path) -> list[tuple[str, bytes]]:
    """scope, token of the identifier in each of the scopes in which it is meant."""
    wanted = [scope for scope in sorted(scopes) if name.scope in (None, scope)]
    if name.token is not None:
        return [(scope, name.token) for scope in wanted]
    assert name.value is not None
    tokeniser = Tokeniser(load_root_keys(key_file))
    return [(scope, tokeniser.token(name.type, scope, name.value)) for scope in wanted]


def shown(kind: str, scope: str, token: bytes) -> str:
    """An identifier as it may be named again."""
    return f"{kind}@{scope}:token:{token.hex()}"


def moment_of(text: str, option: str) -> int:
    """Microseconds since 1970 of `2018-01-01T03:00:00+00:00`; TerminalError where the text names no instant."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise TerminalError(f"{option} is {text!r}, wanted an instant such as 2018-01-01T03:00:00+00:00") from error
    if instant.tzinfo is None:
        raise TerminalError(f"{option} is {text!r}, wanted an instant with its offset, such as {text}+00:00")
    since = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _MICROSECONDS + since.microseconds
