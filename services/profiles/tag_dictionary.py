"""What all persons of a tags generation share: each tag's name, version, classes and default, and whether it failed.

A person's row names tags by number alone; a number stays a tag's for as long as generations are made of one another.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class TagHead:
    """One tag. otherwise: the value of persons without a row, None where the definition is not known.

    error: why the last run could not answer the tag, '' where it did; good_at: when it last did (ISO, UTC).
    live: whether events change it between publications.
    """

    number: int
    name: str
    version: str
    classes: tuple[str, ...] = ()
    otherwise: str | None = None
    error: str = ""
    good_at: str = ""
    live: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """The tags that somebody may see, by number, those of them that failed, and the names of all others."""

    shown: Mapping[int, TagHead]
    failed: frozenset[int]
    masked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """The tags of one generation, by number and by name."""

    by_number: Mapping[int, TagHead]
    by_name: Mapping[str, TagHead]
    views: dict[frozenset[str], View] = field(default_factory=dict, compare=False, repr=False)

    def view(self, classes: frozenset[str]) -> View:
        """What may be seen by whom these sensitive classes are shown: a tag of several needs all of them."""
        known = self.views.get(classes)
        if known is None:
            shown = {number: tag for number, tag in self.by_number.items() if classes.issuperset(tag.classes)}
            failed = frozenset(number for number, tag in shown.items() if tag.error)
            masked = tuple(sorted(tag.name for number, tag in self.by_number.items() if number not in shown))
            known = self.views[classes] = View(shown, failed, masked)
        return known

    def text(self) -> str:
        """As a generation carries it."""
        return json.dumps([asdict(tag) for tag in self.by_number.values()], ensure_ascii=False)


def dictionary_of(tags: Iterable[TagHead]) -> Dictionary:
    """The dictionary of these tags."""
    every = tuple(tags)
    return Dictionary({tag.number: tag for tag in every}, {tag.name: tag for tag in every})


@lru_cache(maxsize=64)
def read_dictionary(text: str) -> Dictionary:
    """The dictionary that a generation carries."""
    return dictionary_of(TagHead(**{**one, "classes": tuple(one["classes"])}) for one in json.loads(text))


def made_of(
    state: Mapping[str, Mapping[str, Any]],
    otherwise: Mapping[str, str | None],
    *,
    before: Dictionary | None = None,
    live: Collection[str] = (),
) -> Dictionary:
    """The dictionary of a publication's tags; tags that `before` knows keep their numbers, others come behind.

    In: tag name to rule, version, classes (with commas) and, where the run failed on it, `error` and `good_at`.
    """
    known = {name: tag.number for name, tag in before.by_name.items()} if before else {}
    behind = max(known.values(), default=-1) + 1
    fresh = (name for name in sorted(state) if name not in known)
    numbers = known | {name: number for number, name in enumerate(fresh, start=behind)}
    return dictionary_of(
        TagHead(
            number=numbers[name],
            name=name,
            version=str(facts["version"]),
            classes=tuple(part for part in str(facts.get("classes", "")).split(",") if part),
            otherwise=otherwise.get(name),
            error=str(facts.get("error") or ""),
            good_at=str(facts.get("good_at") or ""),
            live=name in live,
        )
        for name, facts in sorted(state.items(), key=lambda item: numbers[item[0]])
    )
