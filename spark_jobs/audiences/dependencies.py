"""Audiences that speak of audiences: in which order they are computed, what they inherit, on which tags they depend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from spark_jobs.audiences.definitions import (
    Audience,
    IsKnown,
    IsOneOf,
    IsWithin,
    KnownTag,
    audiences_in,
    number_of,
    tags_in,
)
from spark_jobs.findings import listed


def put_together(found: list[Audience], tags: Mapping[str, KnownTag], problems: list[str]) -> tuple[Audience, ...]:
    """The audiences, each behind those that it uses, with their rules, their tags and what is inherited of both."""
    known = {audience.name: audience for audience in found}
    for audience in found:
        problems += [f"{audience.name}.yaml: {problem}" for problem in _problems_of(audience, known, tags)]
    whole: dict[str, Audience] = {}
    for name in _in_order(known, problems):
        audience = known[name]
        used = [whole[other] for other in sorted(set(audiences_in(audience.members))) if other in whole]
        asked = {one.tag for one in tags_in(audience.members)} | {tag for other in used for tag in other.tags}
        inherited = {one for tag in asked if tag in tags for one in tags[tag].classes}
        classes = {*audience.classes, *inherited, *(one for other in used for one in other.classes)}
        whole[name] = replace(
            audience,
            classes=tuple(sorted(classes)),
            uses=tuple((other.name, other.rule) for other in used),
            tags=tuple(sorted(asked)),
        )
    return tuple(whole.values())


def _in_order(known: Mapping[str, Audience], problems: list[str]) -> list[str]:
    graph = {
        name: sorted(used for used in set(audiences_in(audience.members)) if used in known)
        for name, audience in sorted(known.items())
    }
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        problems.append(f"audiences use each other in a circle: {' -> '.join(error.args[1])}")
        return []


def _problems_of(audience: Audience, known: Mapping[str, Audience], tags: Mapping[str, KnownTag]) -> Iterator[str]:
    if strange := sorted(set(audiences_in(audience.members)) - set(known)):
        yield f"unknown audiences {listed(strange)}; those that exist: {listed(known)}"
    if strange := sorted({one.tag for one in tags_in(audience.members)} - set(tags)):
        yield f"unknown tags {listed(strange)}; those that exist: {listed(tags)}"
    for one in tags_in(audience.members):
        if one.tag in tags:
            yield from _problems_with(one, tags[one.tag])


def _problems_with(asked: IsOneOf | IsWithin | IsKnown, tag: KnownTag) -> Iterator[str]:
    # Where a measure's own text is the answer, anything may be one.
    if tag.answers is None:
        return
    if isinstance(asked, IsOneOf) and (strange := sorted(set(asked.values) - set(tag.answers))):
        yield f"tag '{tag.name}' is never {listed(strange)}; its values: {listed(tag.answers)}"
    if isinstance(asked, IsWithin) and not any(number_of(answer) is not None for answer in tag.answers):
        yield f"tag '{tag.name}' has no numbers to be within bounds; its values: {listed(tag.answers)}"
