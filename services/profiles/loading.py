"""Load what is published: beside what is served, then send all readers there in one transaction.

A load that is killed leaves tables that nobody reads; the next one drops them. What is loaded is counted against what
the publication says before anybody reads it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from services.profiles import filling_identity, filling_tags, generations
from services.profiles.database import Database
from services.profiles.generations import Generation, Pointer
from services.profiles.lake import Lake
from services.profiles.published import Published, changes_since, defaults, newest_published
from services.profiles.schema import IDENTITY, TAGS
from services.profiles.tag_dictionary import Dictionary, made_of, read_dictionary
from spark_jobs.contracts.derived import TAG_PUBLICATIONS
from spark_jobs.contracts.identity import IDENTITY_MAP, PERSONS
from spark_jobs.errors import RetryableError, TerminalError

log = logging.getLogger(__name__)

# Above this share of all values, reading them is quicker than making rows of changes.
MOST_CHANGED = 0.2


@dataclass(slots=True)
class Load:
    """One load: where from, where to, and what was done. `facts` are told at the end."""

    database: Database
    lake: Lake
    refusal_tag: str
    facts: dict[str, Any] = field(default_factory=dict)


def load(database: Database, lake: Lake, workspace: str, *, refusal_tag: str = "") -> dict[str, Any]:
    """Serve the newest publication of a workspace; facts of it. A load of what is served already changes nothing.

    TerminalError where nothing is published, RetryableError where another load is under way or the lake moved on.
    """
    began = time.monotonic()
    with database.exclusive("load"):
        work = Load(database, lake, refusal_tag, {"workspace": workspace, "dropped": generations.sweep(database)})
        published = newest_published(lake, workspace)
        if refusal_tag and refusal_tag not in published.state:
            raise TerminalError(
                f"{workspace} publishes no tag {refusal_tag!r}, which [profiles] refusal_tag names: nobody's refusal "
                "would be honoured; mend the catalogue or the settings"
            )
        served = generations.pointer_of(database, workspace)
        standing = _standing(work, served, published)
        pointer = standing or _loaded(work, published)
    seconds = round(time.monotonic() - began, 2)
    told = {
        "publication": pointer.publication,
        "snapshot_id": pointer.snapshot_id,
        "published_at": pointer.published_at,
    }
    if standing is None:
        log.info("%s: publication %d is served after %.1f s", workspace, pointer.publication, seconds)
    return {**work.facts, **told, "changed": standing is None, "seconds": seconds}


def _standing(work: Load, served: Pointer | None, published: Published) -> Pointer | None:
    """The pointer, where it shows what is published already."""
    if served is None:
        return None
    tags = generations.generation(work.database, served.tags_no)
    return served if tags is not None and tags.facts == _tags_facts(work, published) else None


def _loaded(work: Load, published: Published) -> Pointer:
    identity_no = _identity(work, published)
    tags_no, dictionary = _tags(work, published)
    pointer = Pointer(
        workspace=published.workspace,
        identity_no=identity_no,
        tags_no=tags_no,
        publication=published.number,
        snapshot_id=published.snapshot_id,
        published_at=published.published_at.isoformat(),
        base_at=published.base_at.isoformat(),
        loaded_at=generations.now_text(),
    )
    with work.database.transaction():
        facts = _tags_facts(work, published)
        generations.make_ready(work.database, tags_no, facts=facts, dictionary=dictionary.text())
        generations.switch(work.database, pointer)
    return pointer


def _identity(work: Load, published: Published) -> int:
    """The generation of the publication's identity snapshot: one that is there, renewed from one that is, or new."""
    facts = {
        "tables": [work.lake.id_of(IDENTITY_MAP), work.lake.id_of(PERSONS)],
        "snapshot_id": published.snapshot_id,
        "snapshot_us": published.snapshot_us,
    }
    before = generations.newest(work.database, IDENTITY)
    before = before if before and before.facts["tables"] == facts["tables"] else None
    if before and before.facts == facts:
        work.facts["identity"] = {"way": "there", "number": before.number}
        return before.number
    number = generations.begin(work.database, IDENTITY, facts=facts)
    if before and before.facts["snapshot_us"] < published.snapshot_us:
        base = (before.number, before.facts["snapshot_us"])
        rows = filling_identity.renew_identity(work.database, work.lake, published, number, before=base)
    else:
        before = None
        rows = filling_identity.fill_identity(work.database, work.lake, published, number)
    filling_identity.check_identity(work.database, number)
    with work.database.transaction():
        filling_identity.refuse_known(work.database, number)
        generations.make_ready(work.database, number, facts=facts)
    work.facts["identity"] = {"way": "changes" if before else "whole", "number": number, "rows": rows}
    return number


def _tags(work: Load, published: Published) -> tuple[int, Dictionary]:
    """A filled generation of the publication's tags, and its dictionary; it is not ready yet."""
    otherwise = defaults(work.lake, published)
    before = _base_of(work, published)
    if before is not None:
        old = read_dictionary(before.dictionary)
        dictionary = made_of(published.state, otherwise, before=old)
        number = generations.begin(work.database, TAGS, workspace=published.workspace, facts={})
        refusing = dictionary.by_name[work.refusal_tag].number if work.refusal_tag else None
        changes = filling_tags.changes_of(
            work.lake, published, dictionary, before=old, since=before.facts["publication"]
        )
        rows = filling_tags.renew_tags(work.database, changes, number=number, old=before.number, refusing=refusing)
        if filling_tags.values_in(work.database, number) == published.rows:
            work.facts["tags"] = {"way": "changes", "number": number, "rows": rows}
            return number, dictionary
        log.warning("%s: changes do not add up to publication %d; all is read", published.workspace, published.number)
    dictionary = made_of(published.state, otherwise)
    number = generations.begin(work.database, TAGS, workspace=published.workspace, facts={})
    rows = filling_tags.fill_tags(
        work.database, work.lake, published, dictionary, number=number, refusal_tag=work.refusal_tag
    )
    if (found := filling_tags.values_in(work.database, number)) != published.rows:
        raise RetryableError(
            f"{published.workspace}: publication {published.number} has {published.rows} values, {found} were read; "
            "start the load again; if it stays so, run `./databank upkeep audit`"
        )
    work.facts["tags"] = {"way": "whole", "number": number, "rows": rows}
    return number, dictionary


def _base_of(work: Load, published: Published) -> Generation | None:
    """The generation that few changes make the publication of; None where all must be read, or is read as quickly."""
    before = generations.newest(work.database, TAGS, published.workspace)
    if before is None:
        return None
    wanted = _tags_facts(work, published)
    same = all(before.facts[name] == wanted[name] for name in ("table", "refusal_tag"))
    if not same or before.facts["publication"] >= published.number:
        return None
    changed = changes_since(work.lake, published, before.facts["publication"])
    return before if changed <= MOST_CHANGED * published.rows else None


def _tags_facts(work: Load, published: Published) -> dict[str, Any]:
    """What a generation of tags is made of: equal facts are equal tables."""
    return {
        "table": work.lake.id_of(TAG_PUBLICATIONS),
        "publication": published.number,
        "generation": published.generation,
        "refusal_tag": work.refusal_tag,
    }
