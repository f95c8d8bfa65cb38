"""An archive of Spark's classes: a JVM that maps it neither parses nor verifies them again (JEP 350).

Measured in bench/README.md. Without an archive, or with one that does not fit, Java loads the classes as ever.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from services.setup.progress import say

_PRACTICE = "spark_jobs.storage.practice"
_MOST_S = 300


def ensure(java_home: Path, cache: Path, environment: Mapping[str, str]) -> Path | None:
    """The archive for this Java and this Spark, made where there is none; none where it cannot be made."""
    path = cache / "spark-classes" / f"{_key(java_home, _spark_jars())}.jsa"
    if path.exists():
        return path
    if " " in str(path):  # Spark splits Java's options at spaces
        return None
    say("practising a Spark job, so that later ones start faster (about a minute)")
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    options = f"-XX:+UseParallelGC -XX:ArchiveClassesAtExit={partial} -Xlog:cds*=off"
    told = {
        **environment,
        "PYSPARK_SUBMIT_ARGS": f"--driver-memory 1024m --driver-java-options '{options}' pyspark-shell",
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", _PRACTICE, folder]
        try:
            answer = subprocess.run(
                command, env=told, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_MOST_S
            )
            is_whole = answer.returncode == 0 and partial.exists()
            said = answer.stderr.strip().splitlines()[-1:]
        except subprocess.TimeoutExpired:
            is_whole, said = False, [f"it took more than {_MOST_S} s"]
    if not is_whole:
        say(
            f"set-up: that did not work ({' '.join(said) or 'Java wrote no archive'}); jobs start as fast as without it"
        )
        return None
    partial.rename(path)
    return path


def _spark_jars() -> Path:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise RuntimeError("pyspark is in the environment's lock and must be there")
    return Path(spec.origin).parent / "jars"


def _key(java_home: Path, jars: Path) -> str:
    """Java refuses an archive of another Java or of other jars, their times included; so each has its own."""
    listed = [f"{jar}:{stat.st_size}:{stat.st_mtime_ns}" for jar in sorted(jars.iterdir()) for stat in [jar.stat()]]
    release = java_home / "release"
    java = release.read_text(encoding="utf-8") if release.exists() else str(java_home)
    return hashlib.sha256("\n".join([java, *listed]).encode()).hexdigest()[:16]
