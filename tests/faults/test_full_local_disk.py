"""The disk that Spark shuffles to fills up: the verb says so, and once there is room it ends as if nothing had been."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.migration_files import OldSystem, line, old_system
from tests.migration_place import VERB_S, Place
from tests.small_disk import small_disk

LINES = 150_000  # 8 bytes of each are shuffled to find keys that stand twice
ROOM = 600_000  # beside the jars, which Spark copies into the same folder


@pytest.fixture
def old(tmp_path) -> OldSystem:
    system = old_system(tmp_path / "old")
    system.put("a", [line(number, number) for number in range(LINES)])
    system.put("b", [line(3, 3), "broken"])
    return system


@pytest.mark.thorough
def test_a_full_local_disk_is_named_and_nothing_is_lost(spark, old, key_file, tmp_path) -> None:
    quiet, disturbed = (Place(tmp_path / name, key_file, old) for name in ("quiet", "disturbed"))
    quiet.run("plan", "copy", "settle", "verify")
    jars = sum(Path(jar).stat().st_size for jar in os.environ["DATABANK_SPARK_JARS"].split(","))
    with small_disk(disturbed.local_dir, str(jars + ROOM)) as resize:
        disturbed.run("plan", "copy")
        for verb in ("settle", "verify"):
            status = disturbed.start(verb).wait(timeout=VERB_S)
            assert status == os.EX_TEMPFAIL, disturbed.said[-3000:]
            said = next(said for said in disturbed.said.splitlines() if said.startswith(f"migration {verb}: "))
            assert "No space left on device" in said
            assert str(disturbed.local_dir) in said
        resize(str(jars + 20 * ROOM))
        disturbed.run("settle", "verify")
        assert disturbed.ledger() == quiet.ledger()
        assert disturbed.prints(spark) == quiet.prints(spark)
