"""kill -9 of `python -m migration copy` at random moments: started again, it ends as one that nobody disturbed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from services.setup.resolved import environment, resolved
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import fingerprint
from tests.migration_files import OldSystem, line, old_system

CHUNKS = 6
LINES = 400
START_S = 120.0


@dataclass(frozen=True, slots=True)
class Place:
    """A lake, a ledger and a settings file of one migration."""

    folder: Path
    key_file: Path
    old: OldSystem
    jars: tuple[str, ...]

    @property
    def settings(self) -> Path:
        """The settings file, written where it is not there yet."""
        path = self.folder / "settings.toml"
        if not path.exists():
            self.folder.mkdir(parents=True)
            path.write_text(self._text())
        return path

    def _text(self) -> str:
        sections: dict[str, dict[str, object]] = {
            "storage": {"root": f"{self.folder}/lake"},
            "kafka": {"bootstrap_servers": "127.0.0.1:1"},
            "ledger": {"url": f"sqlite:///{self.folder}/ledger.sqlite"},
            "trino": {"url": "http://127.0.0.1:1"},
            "keys": {"root_key_file": str(self.key_file)},
            "spark": {
                "master": "local[2]",
                "driver_memory_mb": 1024,
                "local_dir": f"{self.folder}/spark",
                "jars": list(self.jars),
            },
        }
        lines = [
            f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in s.items()) for name, s in sections.items()
        ]
        return "\n".join([*lines, '[workspace.grocery]\nzone = "UTC"\nhistory_complete_since = 2017-01-01\n'])

    def start(self, verb: str) -> subprocess.Popen[bytes]:
        """Start a verb as an operator would, in a process group of its own."""
        command = [sys.executable, "-m", "migration", verb, "--settings", str(self.settings)]
        with (self.settings.parent / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--job", str(self.old.job_file)],
                env=environment(resolved()),
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that the kill reaches Python and its Java together
            )

    def run(self, verb: str) -> None:
        """Run a verb to its good end."""
        status = self.start(verb).wait(timeout=300)
        assert status == 0, (self.folder / "log").read_text()[-3000:]

    def commits(self) -> int:
        """Chunks that stand in the target."""
        log = self.folder / "lake" / "core" / "order_lines" / "_delta_log"
        return sum('"txn"' in path.read_text() for path in log.glob("*.json"))

    def ledger(self) -> list[tuple[Any, ...]]:
        """What the ledger says of every chunk."""
        names = "chunk_id, state, rows_read, rows_good, rows_quarantined, rows_duplicate, digest_xor, digest_sum"
        with contextlib.closing(sqlite3.connect(self.folder / "ledger.sqlite")) as connection:
            return connection.execute(f"SELECT {names} FROM chunks ORDER BY chunk_id").fetchall()

    def prints(self, spark: SparkSession) -> list[object]:
        """Fingerprints of good rows, and what is refused."""
        lake = Lake(spark, f"{self.folder}/lake")
        refused = delta.read(lake, QUARANTINE_ROWS).select("source_object", "position", "reason", "origin").collect()
        return [fingerprint(delta.read(lake, ORDER_LINES), ORDER_LINES), sorted(map(tuple, refused))]


@pytest.fixture
def old(tmp_path) -> OldSystem:
    system = old_system(tmp_path / "old")
    for chunk in range(CHUNKS):
        lines = [line(chunk * LINES + n, product=n) for n in range(LINES)]
        repeated = [lines[3], line((chunk + 1) % CHUNKS * LINES, product=0)]
        system.put(str(chunk), [*lines, *repeated, line(9, quantity="x"), "broken"])
    return system


def killed(place: Place, *, commits: int, delay_s: float) -> None:
    """Start `copy` and kill it, `delay_s` after this many chunks more stand in the target."""
    wanted = place.commits() + commits
    process = place.start("copy")
    deadline = time.monotonic() + START_S
    while place.commits() < wanted:
        assert process.poll() is None, "the copy ended before it could be killed: that fault hits nothing"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(delay_s)
    assert process.poll() is None, "the copy ended before it could be killed: that fault hits nothing"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kills_end_as_if_undisturbed(spark: SparkSession, old: OldSystem, key_file: Path, *, kills: int, seed: int) -> None:
    moments = random.Random(seed)
    jars = tuple(os.environ["DATABANK_SPARK_JARS"].split(","))
    quiet, disturbed = (Place(old.folder.parent / name, key_file, old, jars) for name in ("quiet", "disturbed"))
    for place in (quiet, disturbed):
        place.run("plan")
    for _ in range(kills):
        # A kill right behind a commit finds the ledger behind it; one in a run that has committed nothing is cheap.
        is_last = disturbed.commits() >= CHUNKS - 2
        killed(disturbed, commits=0 if is_last else 1, delay_s=moments.uniform(0, 4.0 if is_last else 0.2))
    for place in (quiet, disturbed):
        for verb in ("copy", "settle", "verify"):
            place.run(verb)
    assert disturbed.ledger() == quiet.ledger()
    assert disturbed.prints(spark) == quiet.prints(spark)
    assert {row[1] for row in disturbed.ledger()} == {"verified"}


def test_kills_of_a_copy_lose_and_double_nothing(spark, old, key_file) -> None:
    kills_end_as_if_undisturbed(spark, old, key_file, kills=2, seed=7)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(5))
def test_twenty_five_kills_of_a_copy_lose_and_double_nothing(spark, old, key_file, seed) -> None:
    kills_end_as_if_undisturbed(spark, old, key_file, kills=5, seed=seed)
