"""What must hold before readers are switched, or stay switched for good: green in exactly the state that is there."""

from __future__ import annotations

from collections.abc import Mapping

from migration.chunks import ChunkState
from migration.commits import changes_since
from migration.history import VERIFIED, verifications
from migration.settling import repeated_live
from migration.shadowing import check_shadow
from migration.work import Work
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta


def verified_versions(work: Work) -> dict[str, int]:
    """The verified version of each table whose last verification is green, and of what is derived from it."""
    newest = verifications(work.ledger.steps(work.plan.plan_id)).items()
    green = {table: step.facts for table, step in newest if step.name == VERIFIED}
    versions = {table: int(facts["version"]) for table, facts in green.items()}
    derived = [facts.get("derived", {}).items() for facts in green.values()]
    return {**versions, **{table: int(v) for found in derived for table, v in found if table not in versions}}


def check_green(work: Work) -> dict[str, int]:
    """Let through only what is verified, and compared in a shadow run, as it is now; the verified version by table.

    What is derived is held to the same. Live appends may have come since; nothing else may have, and no key may stand
    twice.
    """
    versions = verified_versions(work)
    mapped = [mapping.table for mapping in work.mappings]
    for table in mapped:
        _check_chunks(work, table, versions)
        _check_unchanged(work, table, versions, wanted="settle")
    for table in work.job.derived:
        if table not in mapped:
            _check_unchanged(work, table, versions, wanted="derive")
    check_shadow(work, versions)
    return versions


def _check_chunks(work: Work, table: Table, versions: Mapping[str, int]) -> None:
    states = [s for s in ChunkState if s is not ChunkState.VERIFIED]
    open_chunk = next(work.ledger.chunks(work.plan.plan_id, target=table.name, states=states), None)
    if table.name not in versions or open_chunk is not None:
        found = (
            "its last verification is not green"
            if open_chunk is None
            else f"chunk {open_chunk.chunk_id} is {open_chunk.state}"
        )
        raise TerminalError(f"{table.name}: {found}; nothing was switched; run `migration verify` first")


def _check_unchanged(work: Work, table: Table, versions: Mapping[str, int], *, wanted: str) -> None:
    version = versions.get(table.name)
    if version is None:
        raise TerminalError(
            f"{table.name}: no verification says at which version it was compared with the lines that it is derived "
            "from; nothing was switched; run `migration verify` first"
        )
    if delta.current_version(work.lake, table) == version:
        return  # verification looked for keys that stand twice in this very version
    if changed := changes_since(work.lake, table, version):
        raise TerminalError(
            f"{table.name} was changed after it was verified at version {version}: {changed}; nothing was switched; "
            f"run `migration {wanted}` and `verify` again"
        )
    if repeated_live(delta.read(work.lake, table), table).limit(1).count():
        raise TerminalError(f"{table.name} holds a key twice; nothing was switched; run `migration {wanted}`, `verify`")
