"""Who goes by a tag outside of the catalogue: exports, audiences, the profile API. Such a tag cannot be removed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from spark_jobs.documents import parsed
from spark_jobs.errors import TerminalError
from spark_jobs.findings import listed
from spark_jobs.settings import Settings

Uses = Mapping[str, tuple[str, ...]]


def uses_of(settings: Settings, workspace: str) -> Uses:
    """Tag to who goes by it. TerminalError where a definition of an export cannot be read, so that nobody knows.

    No folder of definitions, no exports: nobody may have written one yet.
    """
    found: dict[str, list[str]] = {}
    if settings.profiles is not None and settings.profiles.refusal_tag:
        found.setdefault(settings.profiles.refusal_tag, []).append("refusal_tag of [profiles]")
    files = sorted(settings.exports_dir.glob("*.yaml")) if settings.exports_dir else []
    for path in files:
        for tag in _tags_of(path, workspace):
            found.setdefault(tag, []).append(f"export {path.stem}")
    return {tag: tuple(users) for tag, users in found.items()}


def all_uses(*uses: Uses) -> Uses:
    """Several as one."""
    tags = sorted({tag for one in uses for tag in one})
    return {tag: tuple(user for one in uses for user in one.get(tag, ())) for tag in tags}


def _tags_of(path: Path, workspace: str) -> Iterator[str]:
    problems: list[str] = []
    raw = parsed(path, problems)
    if problems or not isinstance(raw, dict):
        raise TerminalError(
            f"export {path}: {'; '.join(problems) or 'found no mapping'}, so nobody can tell which tags it goes by; "
            "mend it (`exports run --check`), or take it away"
        )
    if raw.get("workspace") != workspace:
        return
    conditions = raw.get("only")
    named = [one.get("tag") for one in conditions if isinstance(one, dict)] if isinstance(conditions, list) else []
    columns = raw.get("columns")
    found = [*(columns if isinstance(columns, list) else []), *named]
    yield from dict.fromkeys(tag for tag in found if isinstance(tag, str))


def refuse_removal(published: Collection[str], wanted: Collection[str], uses: Uses, *, workspace: str) -> None:
    """TerminalError where a tag in force is published no more though somebody goes by it.

    In: names of the tags in force, and of those that are to be published.
    """
    gone = {tag: uses[tag] for tag in sorted(set(published) - set(wanted)) if tag in uses}
    if gone:
        lines = "\n  ".join(f"'{tag}' is used by {listed(users)}" for tag, users in gone.items())
        raise TerminalError(
            f"tags of {workspace}: nothing is published, tags in use were removed or made drafts:\n  {lines}\n"
            "Put their definitions back (`state: deprecated` says that they go), or take them out of what uses them"
        )


def strangers(wanted: Collection[str], uses: Uses) -> list[str]:
    """Notes on tags that somebody goes by and no definition publishes."""
    return [
        f"{tag}: used by {listed(users)}, and published by no definition"
        for tag, users in sorted(uses.items())
        if tag not in wanted
    ]
