"""From what was seen to what is answered: every answer says of which snapshot it is, and how old that is."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from services.profiles.access import Grant
from services.profiles.addressing import Keys
from services.profiles.generations import Pointer
from services.profiles.overlay import laid_over, read_overlay
from services.profiles.packing import unpack
from services.profiles.reading import Found, Seen
from services.profiles.tag_dictionary import TagHead

UNKNOWN = "unknown"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asking:
    """What the asker may see, which tags were named (none: all that the person has), and when (UTC)."""

    grant: Grant
    names: tuple[str, ...]
    at: datetime


def provenance(pointer: Pointer, at: datetime) -> dict[str, Any]:
    """What every answer carries; age_seconds counts from the publication of the snapshot."""
    return {
        "workspace": pointer.workspace,
        "snapshot_id": pointer.snapshot_id,
        "publication": pointer.publication,
        "published_at": pointer.published_at,
        "base_at": pointer.base_at,
        "age_seconds": age_s(pointer.published_at, at),
    }


def age_s(since: str, at: datetime) -> int:
    """Whole seconds from an instant (ISO, UTC) to another; never below 0."""
    return max(0, int((at - datetime.fromisoformat(since)).total_seconds()))


def found_for(keys: Keys, seen: Seen) -> tuple[bytes, Found] | None:
    """The key that somebody is known by, and who."""
    return next(((key, seen.persons[key]) for key in keys.keys if key in seen.persons), None)


def profile(keys: Keys, seen: Seen, asking: Asking) -> dict[str, Any] | None:
    """What is known of a person; None where nobody is known. A person without tags is known, with an empty list."""
    known = found_for(keys, seen)
    if known is None:
        return None
    key, found = known
    person_id = uuid.UUID(bytes=found.person_id)
    is_alias = keys.by == "person_id" and key != found.person_id
    return {
        "person_id": str(person_id),
        "merged_from": str(uuid.UUID(bytes=key)) if is_alias else None,
        "profiling": "refused" if found.refused else "allowed",
        "tags": [] if found.refused else _tags(found, seen, asking),
        "masked": _masked(seen, asking),
    }


def unknown_names(seen: Seen, names: Sequence[str]) -> list[str]:
    """Names that no tag of this snapshot has."""
    return [name for name in names if name not in seen.dictionary.by_name]


def _masked(seen: Seen, asking: Asking) -> list[str]:
    """Tags that the key may not see: the same for every person, so that the list itself tells nothing."""
    masked = seen.dictionary.view(asking.grant.classes).masked
    return [name for name in masked if not asking.names or name in asking.names]


def _tags(found: Found, seen: Seen, asking: Asking) -> list[dict[str, Any]]:
    view = seen.dictionary.view(asking.grant.classes)
    values = laid_over(unpack(found.packed), read_overlay(found.live))
    if asking.names:
        named = (seen.dictionary.by_name[name] for name in asking.names)
        wanted = [tag for tag in named if tag.number in view.shown]
        return [_told(tag, values.get(tag.number, (tag.otherwise, None)), found, asking.at) for tag in wanted]
    # A tag that failed is told of even where no answer stands: none may come of its failing.
    numbers = sorted(view.failed.union(values)) if view.failed else values
    shown = ((view.shown[number], values.get(number, (None, None))) for number in numbers if number in view.shown)
    return [_told(tag, value, found, asking.at) for tag, value in shown]


def _told(tag: TagHead, stands: tuple[str | None, int | None], found: Found, at: datetime) -> dict[str, Any]:
    value, since = stands
    state = "failed" if tag.error else "unknown" if value == UNKNOWN else "value"
    told: dict[str, Any] = {
        "tag": tag.name,
        "state": state,
        "value": None if value == UNKNOWN else value,
        "version": tag.version,
        "since": None if since is None else _moment(since),
    }
    if tag.live and found.live_as_of is not None:
        told["live_as_of"] = _instant(found.live_as_of)
    if tag.error:
        told["error"] = tag.error
        told["last_good_at"] = tag.good_at or None
        told["last_good_age_seconds"] = age_s(tag.good_at, at) if tag.good_at else None
    return told


@lru_cache(maxsize=4096)
def _moment(at_us: int) -> str:
    """ISO, UTC; values share base times."""
    return _instant(at_us)


def _instant(at_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat()
