"""The jar of `spark_jobs/storage/java`: compiled for the oldest Java that Spark runs on here."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from services.setup import paths
from spark_jobs.errors import TerminalError

SOURCES = paths.REPO / "spark_jobs" / "storage" / "java"
_STRICT = ("--release", "17", "-Xlint:all,-path", "-Werror")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest that a zip can name: the same classes make the same jar


def compile_jar(target: Path, class_path: Sequence[Path]) -> None:
    """Write the jar; `class_path` holds Spark's jars and Delta's storage jar."""
    if shutil.which("javac") is None:
        raise TerminalError("`javac` was not found; install a JDK (Debian 12: openjdk-17-jdk-headless)")
    with tempfile.TemporaryDirectory(prefix="databank-classes-") as scratch:
        sources = [str(path) for path in sorted(SOURCES.rglob("*.java"))]
        command = ["javac", *_STRICT, "-cp", ":".join(map(str, class_path)), "-d", scratch, *sources]
        finished = subprocess.run(command, capture_output=True, text=True)
        if finished.returncode:
            raise TerminalError(f"the log store does not compile:\n{finished.stderr.strip()}")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as jar:
            for path in sorted(Path(scratch).rglob("*.class")):
                name = path.relative_to(scratch).as_posix()
                jar.writestr(zipfile.ZipInfo(name, date_time=_EPOCH), path.read_bytes())
