"""Quarantine: it holds of a chunk what its rules refuse now, whatever was killed, mended or repaired before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from migration import copying
from migration.chunks import ChunkState
from migration.copying import copy_all, repair_chunk
from migration.healing import heal
from migration.requeueing import requeue
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from tests.migration_files import OldSystem, line, old_system, planned

pytestmark = pytest.mark.thorough

RETURNED, GIFT = line(3, sales_value="-1.00"), line(2, quantity="0")


@pytest.fixture
def old(tmp_path) -> OldSystem:
    """A line that the demo's mapping takes, one that it refuses, and one that `mended` refuses."""
    system = old_system(tmp_path / "old")
    system.put("a", [line(1), RETURNED, GIFT])
    return system


@pytest.fixture
def work(old, lake, key_file) -> Iterator[Work]:
    with planned(old, lake, key_file) as ready:
        yield ready


def mended(work: Work, *, pieces: int = 1) -> Work:
    """The work by a mapping that takes sales below 0, and wants pieces."""
    mapping = Path(work.plan.source).parent / "order_lines.yaml"
    given = yaml.safe_load(mapping.read_text())
    given["columns"]["sales_value"].pop("min", None)
    given["columns"]["quantity"]["min"] = pieces
    mapping.write_text(yaml.safe_dump(given))
    changed = replace(work, job=OldSystem(mapping.parent).job())
    heal(changed, ORDER_LINES, may_mend=True)
    return changed


def kept(work: Work) -> list[tuple[int, str, str]]:
    rows = delta.read(work.lake, QUARANTINE_ROWS).collect()
    return sorted((row.position, row.reason, row.rule_version) for row in rows)


def killed(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Do it in a process that dies when refused records are in quarantine, and the chunk's rows not in the target."""

    def die(*_args: object, **_facts: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(copying, "copy_facts", die)
        with pytest.raises(KeyboardInterrupt):
            do()


def proved(work: Work) -> None:
    heal(work, ORDER_LINES)
    verify_table(work, work.mappings[0])
    assert {chunk.state for chunk in work.ledger.chunks(work.plan.plan_id)} == {ChunkState.VERIFIED}


def test_a_repair_puts_in_and_takes_out_what_the_mended_mapping_says_though_it_is_killed(work, monkeypatch) -> None:
    copy_all(work)
    assert [position for position, _, _ in kept(work)] == [3]
    new = mended(work)
    assert requeue(new).is_complete
    assert kept(new) == []
    with pytest.raises(TerminalError, match="quarantine holds 0 records, the source has 1 bad ones"):
        verify_table(new, new.mappings[0])
    (chunk,) = new.ledger.chunks(new.plan.plan_id)
    killed(monkeypatch, lambda: repair_chunk(new, chunk.chunk_id))
    copy_all(new)  # goes on with the repair
    assert kept(new) == [(4, "quantity: less than 1", new.mappings[0].version)]
    assert sorted(row.origin_position for row in delta.read(new.lake, ORDER_LINES).collect()) == [2, 3]
    proved(new)


def test_what_a_killed_copy_left_is_replaced_by_what_the_mended_mapping_refuses(work, monkeypatch) -> None:
    killed(monkeypatch, lambda: copy_all(work))
    assert [position for position, _, _ in kept(work)] == [3]
    new = mended(work)
    assert requeue(new).is_complete
    killed(monkeypatch, lambda: copy_all(new))
    assert kept(new) == [(4, "quantity: less than 1", new.mappings[0].version)]
    newer = mended(new, pieces=0)  # which refuses nothing
    assert requeue(newer).is_complete
    copy_all(newer)
    assert kept(newer) == []
    assert delta.read(newer.lake, ORDER_LINES).count() == 3
    proved(newer)
