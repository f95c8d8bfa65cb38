"""Limits of quantile bands: as a publication keeps them, and which tags see others than the state before did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from spark_jobs.tagging.definitions import Rule, Tag, canonical, digest
from spark_jobs.tagging.dependencies import measures_of
from spark_jobs.tagging.measures import Quantile
from spark_jobs.tagging.plan import Plan, Ranked

Limits = dict[Ranked, tuple[int, ...]]
NamedLimits = Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Moved:
    """The tags that limits moved for; a plan of them and of what they use; the limits that were in force before."""

    tags: frozenset[str]
    plan: Plan
    limits: Limits


def named(limits: Limits) -> dict[str, list[int]]:
    """The limits as JSON can hold them: the same quantile of the same group has the same name for ever."""
    return {_name(ranked): list(values) for ranked, values in limits.items()}


def limits_named(known: NamedLimits, plan: Plan) -> Limits:
    """The limits that a publication keeps, of each quantile of a plan; KeyError where it keeps none of one."""
    return {ranked: tuple(known[_name(ranked)]) for ranked in plan.ranked}


def moved_since(before: NamedLimits, limits: Limits, plan: Plan) -> Moved | None:
    """What differs from the limits of the state before; None where nothing does.

    A quantile that is new has none before: its tag's rule is new as well, and that says why answers changed.
    """
    known = {ranked: tuple(before.get(_name(ranked), values)) for ranked, values in limits.items()}
    others = {ranked for ranked, values in known.items() if values != limits[ranked]}
    if not others:
        return None
    tags: set[str] = set()
    for tag in plan.tags:  # each behind those that it uses
        if others & _ranked_by(tag.rule) or tags & {name for name, _ in tag.uses}:
            tags.add(tag.name)
    return Moved(frozenset(tags), replace(plan, tags=_with_used(tags, plan.tags)), known)


def _name(ranked: Ranked) -> str:
    return digest(canonical(ranked))


def _ranked_by(rule: Rule) -> set[Ranked]:
    return {Ranked(measure, rule.among) for measure in measures_of(rule) if isinstance(measure, Quantile)}


def _with_used(names: set[str], tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
    needed = set(names)
    for tag in reversed(tags):
        if tag.name in needed:
            needed |= {name for name, _ in tag.uses}
    return tuple(tag for tag in tags if tag.name in needed)
