"""History that is moved in again brings no erased person back: her rows are refused, counted, and not kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from migration.chunks import ChunkState
from migration.copying import copy_all, repair_chunk
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.erasure import ERASURE_REQUESTS, TOMBSTONES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from spark_jobs.protection.tombstones import ERASED, tombstone
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from tests.migration_files import line, old_system, planned
from tests.settled_history import chunks, settled
from tests.tag_tables import add

# Basket N is bought by household H(1000 + N mod 7).
HERS, ANOTHERS = "H1001", "H1002"
FIRST, UNTIL = datetime(1900, 1, 1, tzinfo=UTC), datetime(2017, 1, 12, tzinfo=UTC)


def token(key_file: Path, household: str) -> bytes:
    return Tokeniser(load_root_keys(key_file)).token("member_no", "grocery", household)


def erase(lake: Lake, key_file: Path) -> None:
    """What a request for her leaves behind."""
    stone = bytearray(tombstone(token(key_file, HERS), load_root_keys(key_file), "k1"))
    span = {"since": FIRST, "until": UNTIL}
    add(lake, TOMBSTONES, [{"request_id": "r1", "tombstone": stone, "kid": "k1", **span}])
    said = {"author": "the office", "reason": "asked", "snapshot_id": "s", "masters": 1, "identifiers": 1}
    add(lake, ERASURE_REQUESTS, [{"request_id": "r1", "requested_at": UNTIL, **said}])


def bought(work: Work) -> dict[str, set[str]]:
    """Baskets in the target, by whose they are."""
    rows = delta.read(work.lake, ORDER_LINES).select("subject_token", "order_id").collect()
    names = {token(work.key_file, household): household for household in (HERS, ANOTHERS)}
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(names.get(bytes(row["subject_token"]), "others"), set()).add(row["order_id"])
    return found


@pytest.mark.parametrize("is_late", [False, True], ids=["asked before the copy", "asked after the copy"])
def test_her_records_are_refused_without_their_bytes(lake: Lake, key_file: Path, tmp_path: Path, is_late: bool) -> None:
    system = old_system(tmp_path / "old", bad_share=0.0)
    # Baskets 1, 8 and 15 are hers; the last of them she bought when she had come back.
    system.put("a", [line(1), line(2), line(8), line(9), line(15)])
    with planned(system, lake, key_file) as work:
        if not is_late:
            erase(lake, key_file)
        copy_all(work)
        settled(work)
        if is_late:
            assert bought(work)[HERS] == {"1", "8", "15"}
            erase(lake, key_file)
            with pytest.raises(TerminalError, match="repair"):
                verify_table(work, work.mappings[0])
            repair_chunk(work, chunks(work)[0].chunk_id)
            settled(work)
        assert bought(work) == {HERS: {"15"}, ANOTHERS: {"2", "9"}}
        kept = delta.read(lake, QUARANTINE_ROWS).select("reason", "sealed", "position").collect()
        assert {(row["reason"], row["sealed"]) for row in kept} == {(ERASED, None)}
        assert len(kept) == 2, "each has its place, and none is among bad records: the accepted share of these is 0"
        verify_table(work, work.mappings[0])
        assert {chunk.state for chunk in chunks(work)} == {ChunkState.VERIFIED}
    assert delta.read(lake, ORDER_LINES).where(F.col("order_id").isin("1", "8")).isEmpty()
