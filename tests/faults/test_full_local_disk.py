"""The disk that Spark shuffles to fills up: the verb says so, and once there is room it ends as if nothing had been."""

from __future__ import annotations

import os

import pytest

from tests.migration_files import OldSystem, line, old_system
from tests.migration_place import VERB_S, Place
from tests.small_disk import small_disk

LINES = 30_000  # 8 bytes of each are shuffled to find keys that stand twice


@pytest.fixture
def old(tmp_path) -> OldSystem:
    system = old_system(tmp_path / "old")
    system.put("a", [line(number, number) for number in range(LINES)])
    system.put("b", [line(3, 3), "broken"])
    return system


def test_a_full_local_disk_is_named_and_nothing_is_lost(spark, old, key_file, tmp_path) -> None:
    quiet, disturbed = (Place(tmp_path / name, key_file, old) for name in ("quiet", "disturbed"))
    quiet.run("plan", "copy", "settle", "verify")
    with small_disk(disturbed.local_dir, "16m") as resize:
        disturbed.run("plan", "copy")
        resize("100k")
        for verb in ("settle", "verify"):
            status = disturbed.start(verb).wait(timeout=VERB_S)
            assert status == os.EX_TEMPFAIL, disturbed.said[-3000:]
            assert disturbed.said.splitlines()[-1].startswith("migration")
        resize("64m")
        disturbed.run("settle", "verify")
        assert disturbed.ledger() == quiet.ledger()
        assert disturbed.prints(spark) == quiet.prints(spark)
