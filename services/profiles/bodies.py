"""The bodies that the API takes and gives: their shapes for the OpenAPI page, and the reader of a batch.

A batch is read by hand: a validator's message would repeat identifiers.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import Request

from services.profiles import problems
from services.profiles.addressing import Asked
from services.profiles.problems import RefusedError

MOST_IN_A_BATCH = 500
MOST_BYTES = 1_000_000
_MEMBERS = {"type", "value", "scope"}


class TagAnswer(BaseModel):
    """One tag of one person."""

    tag: str
    state: str = Field(description="`value`, `unknown`, or `failed`: the run could not answer it, `value` is older")
    value: str | None
    version: str = Field(description="hash of rule, base time, identity snapshot and data")
    since: str | None = Field(description="base time at which the value came to be; null where no change tells")
    live_as_of: str | None = Field(
        default=None, description="the moment that it holds for, events up to now included; only of tags that are live"
    )
    error: str | None = Field(default=None, description="why it failed; only where it did")
    last_good_at: str | None = None
    last_good_age_seconds: int | None = None


class Provenance(BaseModel):
    """Which snapshot an answer is of."""

    workspace: str
    snapshot_id: str
    publication: int = Field(description="number of the tags' publication, ascending")
    published_at: str
    base_at: str = Field(description="the moment that the tags hold for")
    age_seconds: int = Field(description="since the publication")


class Person(BaseModel):
    """What is known of a person."""

    person_id: str
    merged_from: str | None = Field(description="the id that was asked for, where it was merged into `person_id`")
    profiling: str = Field(description="`allowed`, or `refused`: then no tag is told")
    tags: list[TagAnswer] = Field(description="values other than `otherwise`, or the tags that were named")
    masked: list[str] = Field(description="tags of sensitive classes that the key may not see, whoever is asked for")


class ProfileAnswer(Provenance, Person):
    """One person, of one snapshot."""


class BatchAnswer(Provenance):
    """Persons in the order of the identifiers, all of one snapshot."""

    profiles: list[dict[str, Any]] = Field(description="each `{found: true, ...Person}` or `{found: false, problem}`")


class ProblemBody(BaseModel):
    """A failure (RFC 9457); that nobody is known carries the members of Provenance as well."""

    type: str
    title: str
    status: int
    detail: str


BATCH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["identifiers"],
    "additionalProperties": False,
    "properties": {
        "identifiers": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_IN_A_BATCH,
            "items": {
                "type": "object",
                "required": ["type", "value"],
                "additionalProperties": False,
                "properties": {name: {"type": "string"} for name in ("type", "value", "scope")},
            },
        },
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}


async def batch_of(request: Request) -> tuple[list[Asked], tuple[str, ...]]:
    """Identifiers and named tags of a batch; RefusedError says which place is wrong, never what stands there."""
    try:
        given = json.loads(await _content(request))
    except (ValueError, RecursionError):
        raise _bad("The body is not JSON.") from None
    if not isinstance(given, dict) or set(given) - {"identifiers", "tags"}:
        raise _bad("The body is an object with `identifiers` and, if wanted, `tags`.")
    identifiers, tags = given.get("identifiers"), given.get("tags", [])
    if not isinstance(identifiers, list) or not 1 <= len(identifiers) <= MOST_IN_A_BATCH:
        raise _bad(f"`identifiers` is a list of 1 to {MOST_IN_A_BATCH}.")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _bad("`tags` is a list of names.")
    return [_asked(one, place) for place, one in enumerate(identifiers)], tuple(tags)


def _asked(one: object, place: int) -> Asked:
    is_good = isinstance(one, dict) and {"type", "value"} <= set(one) <= _MEMBERS
    if not is_good or not all(isinstance(text, str) for text in one.values()):  # type: ignore[attr-defined]
        raise _bad(f"`identifiers[{place}]` is an object of texts: `type`, `value` and, if wanted, `scope`.")
    return Asked(**one)  # type: ignore[arg-type]


async def _content(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise RefusedError(problems.TOO_LARGE, f"A body has at most {MOST_BYTES:,} bytes.")
        parts.append(part)
    return b"".join(parts)


def _bad(detail: str) -> RefusedError:
    return RefusedError(problems.BAD_REQUEST, detail)
