"""A lake, a ledger and a settings file of one migration that runs in processes of its own, as an operator's would."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from services.setup.resolved import environment, resolved
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import fingerprint
from tests.migration_files import OldSystem

VERB_S = 300.0
Look = Mapping[str, str]


def in_flight(before: Look, after: Look, *, since: str) -> set[str]:
    """The chunks that a process was copying when it was killed.

    In: `Place.copying` before and after the kill; when the process started. A chunk that was begun earlier is one that
    an earlier kill left, and one that is not the same in both looks may have ended before the blow.
    """
    return {chunk for chunk, begun in before.items() if begun >= since and after.get(chunk) == begun}


@dataclass(frozen=True, slots=True)
class Place:
    """A lake, a ledger and a settings file of one migration."""

    folder: Path
    key_file: Path
    old: OldSystem
    master: str = "local[2]"

    @property
    def settings(self) -> Path:
        """The settings file, written where it is not there yet."""
        path = self.folder / "settings.toml"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(self._text())
        return path

    @property
    def local_dir(self) -> Path:
        """Where Spark shuffles to."""
        return self.folder / "spark"

    def _text(self) -> str:
        sections: dict[str, dict[str, object]] = {
            "storage": {"root": f"{self.folder}/lake"},
            "kafka": {"bootstrap_servers": "127.0.0.1:1"},
            "ledger": {"url": f"sqlite:///{self.folder}/ledger.sqlite"},
            "trino": {"url": "http://127.0.0.1:1"},
            "keys": {"root_key_file": str(self.key_file)},
            "spark": {
                "master": self.master,
                "driver_memory_mb": 1024,
                "local_dir": str(self.local_dir),
                "jars": os.environ["DATABANK_SPARK_JARS"].split(","),
            },
        }
        lines = [
            f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in s.items()) for name, s in sections.items()
        ]
        return "\n".join([*lines, '[workspace.grocery]\nzone = "UTC"\nhistory_complete_since = 2017-01-01\n'])

    def start(self, verb: str, *more: str) -> subprocess.Popen[bytes]:
        """Start a verb as an operator would, in a process group of its own."""
        command = [sys.executable, "-m", "migration", verb, "--settings", str(self.settings), *more]
        with (self.settings.parent / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--job", str(self.old.job_file)],
                env=environment(resolved()),
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that the kill reaches Python and its Java together
            )

    def run(self, *verbs: str, most_s: float = VERB_S) -> None:
        """Run verbs to their good end, one after the other."""
        for verb in verbs:
            status = self.start(verb).wait(timeout=most_s)
            assert status == 0, self.said[-3000:]

    @property
    def said(self) -> str:
        """What all verbs wrote."""
        return (self.folder / "log").read_text()

    def commits(self) -> int:
        """Chunks that stand in the target."""
        log = self.folder / "lake" / "core" / "order_lines" / "_delta_log"
        return sum('"appId":"migration/core.order_lines/' in path.read_text() for path in log.glob("*.json"))

    def commits_by_chunk(self) -> Counter[str]:
        """How many commits of the target carry each chunk's transaction."""
        log = self.folder / "lake" / "core" / "order_lines" / "_delta_log"
        text = "".join(path.read_text() for path in log.glob("*.json"))
        return Counter(re.findall(r'"appId":"migration/(core\.order_lines/[^"]+)"', text))

    def ledger(self) -> list[tuple[Any, ...]]:
        """What the ledger says of every chunk."""
        names = "chunk_id, state, rows_read, rows_good, rows_quarantined, rows_duplicate, digest_xor, digest_sum"
        with contextlib.closing(sqlite3.connect(self.folder / "ledger.sqlite")) as connection:
            return connection.execute(f"SELECT {names} FROM chunks ORDER BY chunk_id").fetchall()

    def copying(self) -> Look:
        """Chunks that are being copied, or whose copy was killed, and since when, by the ledger."""
        query = "SELECT chunk_id, updated_at FROM chunks WHERE state = 'copying'"
        with contextlib.closing(sqlite3.connect(self.folder / "ledger.sqlite")) as connection:
            return dict(connection.execute(query).fetchall())

    def prints(self, spark: SparkSession) -> list[object]:
        """Fingerprints of good rows, and what is refused."""
        lake = Lake(spark, f"{self.folder}/lake")
        refused = delta.read(lake, QUARANTINE_ROWS).select("source_object", "position", "reason", "origin").collect()
        return [fingerprint(delta.read(lake, ORDER_LINES), ORDER_LINES), sorted(map(tuple, refused))]
