"""Exact counts of expressions over audiences, chunk by chunk, from the bitmaps that they speak of alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow.dataset as ds
from pyroaring import BitMap

from services.audiences.expressions import EVERYONE, Expression, members_of, names_in, parsed
from services.audiences.published import Published, newest_published
from services.profiles.lake import Lake
from spark_jobs.contracts.audiences import AUDIENCES, PERSONS
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.people.bitmaps import unpacked


def count(lake: Lake, workspace: str, texts: Sequence[str]) -> dict[str, Any]:
    """Persons of each expression, with what they are of and how old it is; without any, of each audience.

    Audiences of sensitive classes are neither shown nor counted: TerminalError where one is asked for.
    RetryableError where bitmaps are gone, because newer ones came meanwhile.
    """
    published = newest_published(lake, workspace)
    if texts:
        asked = {text: parsed(text) for text in texts}
        _refuse(published, asked)
        counts = _counted(lake, published, asked)
    else:
        told = sorted(published.audiences.items())
        counts = {name: int(facts["persons"]) for name, facts in told if name not in published.sensitive}
    return {
        "workspace": workspace,
        "counts": counts,
        EVERYONE: published.persons,
        "number": published.number,
        "snapshot_id": published.snapshot_id,
        "base_at": published.base_at.isoformat(),
        "published_at": published.published_at.isoformat(),
        "age_s": round((datetime.now(UTC) - published.base_at).total_seconds()),
        "tags_behind": published.tags_behind,
    }


def _refuse(published: Published, asked: Mapping[str, Expression]) -> None:
    """Names that are none, and audiences that not everybody may see."""
    names = {name for expression in asked.values() for name in names_in(expression)} - {EVERYONE}
    known = set(published.audiences) - published.sensitive
    if unknown := sorted(names - set(published.audiences)):
        raise TerminalError(
            f"no audiences {', '.join(unknown)} are published; wanted: some of {', '.join(sorted(known))} "
            f"and {EVERYONE}"
        )
    if sensitive := ", ".join(sorted(names & published.sensitive)):
        raise TerminalError(
            f"audiences of sensitive classes are not counted here: {sensitive}. Who may see them finds their sizes in "
            "`tags.sensitive_audience_counts`"
        )


def _counted(lake: Lake, published: Published, asked: Mapping[str, Expression]) -> dict[str, int]:
    counts = dict.fromkeys(asked, 0)
    found: dict[str, int] = defaultdict(int)
    names = sorted({name for expression in asked.values() for name in names_in(expression)})
    for _, sets in chunks_of(lake, published, names):
        for name, members in sets.items():
            found[name] += len(members)
        for text, expression in asked.items():
            counts[text] += len(members_of(expression, sets))
    # As many as were published: neither may a row be gone, nor a file have been exchanged.
    wanted = {name: _size(published, name) for name in names}
    if wrong := {name: found[name] for name in names if found[name] != wanted[name]}:
        named = ", ".join(f"{name} has {number:,} members, wanted {wanted[name]:,}" for name, number in wrong.items())
        raise RetryableError(f"publication {published.number}: {named}; newer ones came meanwhile? count again")
    return counts


def _size(published: Published, name: str) -> int:
    return published.persons if name == EVERYONE else int(published.audiences[name]["persons"])


def chunks_of(lake: Lake, published: Published, names: Sequence[str]) -> Iterator[tuple[int, dict[str, BitMap]]]:
    """The bitmaps of each chunk, by name. Of 100 million persons an audience has 12 MB at most."""
    stored = {PERSONS if name == EVERYONE else name: name for name in names}
    where = (
        (ds.field("workspace_id") == published.workspace)
        & ds.field("audience").isin(list(stored))
        & (ds.field("generation") == published.generation)
    )
    found = lake.found(AUDIENCES, ("chunk", "audience", "members"), where)
    by_chunk: dict[int, dict[str, bytes]] = defaultdict(dict)
    for chunk, name, content in zip(*(column.to_pylist() for column in found.columns), strict=True):
        by_chunk[chunk][stored[name]] = content
    for chunk, contents in by_chunk.items():
        yield chunk, {name: unpacked(content) for name, content in contents.items()}
