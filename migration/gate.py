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
    """The verified version of each table of the plan whose last verification is green."""
    newest = verifications(work.ledger.steps(work.plan.plan_id)).items()
    return {table: int(step.facts["version"]) for table, step in newest if step.name == VERIFIED}


def check_green(work: Work) -> dict[str, int]:
    """Let through only what is verified, and compared in a shadow run, as it is now; the verified version by table.

    Live appends may have come since; nothing else may have, and no key may stand twice.
    """
    versions = verified_versions(work)
    for mapping in work.mappings:
        _check_table(work, mapping.table, versions)
    check_shadow(work, versions)
    return versions


def _check_table(work: Work, table: Table, versions: Mapping[str, int]) -> None:
    states, version = [s for s in ChunkState if s is not ChunkState.VERIFIED], versions.get(table.name)
    open_chunk = next(work.ledger.chunks(work.plan.plan_id, target=table.name, states=states), None)
    if version is None or open_chunk is not None:
        found = (
            "its last verification is not green"
            if open_chunk is None
            else f"chunk {open_chunk.chunk_id} is {open_chunk.state}"
        )
        raise TerminalError(f"{table.name}: {found}; nothing was switched; run `migration verify` first")
    if delta.current_version(work.lake, table) == version:
        return  # verification looked for keys that stand twice in this very version
    if changed := changes_since(work.lake, table, version):
        raise TerminalError(
            f"{table.name} was changed after it was verified at version {version}: {changed}; nothing was switched; "
            "run `migration settle` and `verify` again"
        )
    if repeated_live(delta.read(work.lake, table), table).limit(1).count():
        raise TerminalError(f"{table.name} holds a key twice; nothing was switched; run `migration settle`, `verify`")
