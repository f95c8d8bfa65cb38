"""Artifacts through `mvn`: one process for all of them, with progress read from the growing files."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from services.setup.progress import Progress
from services.setup.release import Artifact, Coordinates
from spark_jobs.errors import RetryableError, TerminalError

_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_EXCLUDE_ALL = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
_TAIL_LINES = 15


def fetch(artifacts: Sequence[Artifact], repository: Path, java_home: Path) -> None:
    """Bring `artifacts` into `repository` (Maven's layout); what is there already is not fetched again."""
    modules: dict[str, list[Coordinates]] = {}
    for artifact in artifacts:
        modules.setdefault(artifact.component, []).append(artifact.coordinates)
    progress = Progress("downloading", {repository / a.coordinates.path: a.size for a in artifacts})
    with tempfile.TemporaryDirectory(prefix="databank-maven-") as scratch:
        write_poms(Path(scratch), modules, with_dependencies=False)
        done = threading.Event()
        watcher = threading.Thread(target=progress.watch, args=(done,), daemon=True)
        watcher.start()
        try:
            run(Path(scratch), repository, java_home, ["dependency:resolve"])
        finally:
            done.set()
            watcher.join()


def run(project: Path, repository: Path, java_home: Path, goals: Sequence[str]) -> None:
    """Run `mvn` on the project in `project`; RetryableError carries the end of what it said."""
    mvn = shutil.which("mvn")
    if mvn is None:
        raise TerminalError("`mvn` was not found on PATH; install the package `maven`")
    goals = [goal.replace("dependency:", f"{_DEPENDENCY_PLUGIN}:", 1) for goal in goals]
    command = [mvn, "--batch-mode", "--no-transfer-progress", "--strict-checksums", f"-Dmaven.repo.local={repository}"]
    command += ["-Dmaven.artifact.threads=8", "--file", str(project / "pom.xml"), *goals]
    environment = {**os.environ, "JAVA_HOME": str(java_home), "MAVEN_OPTS": "-Xmx512m"}
    finished = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        close_fds=False,  # it holds the lock of set-up
    )
    if finished.returncode:
        errors = [line for line in finished.stdout.splitlines() if "ERROR" in line] or finished.stdout.splitlines()
        raise RetryableError(
            "Maven could not fetch the artifacts. It said:\n  "
            + "\n  ".join(errors[:_TAIL_LINES])
            + "\nCheck the network (and ~/.m2/settings.xml, if you use a mirror), then run the same command again: "
            "what is complete is kept"
        )


def write_poms(project: Path, modules: Mapping[str, Sequence[Coordinates]], *, with_dependencies: bool) -> None:
    """An aggregating pom with one module a component: two components may hold two versions of one artifact."""
    names = "".join(f"<module>{name}</module>" for name in modules)
    (project / "pom.xml").write_text(_pom("all", f"<modules>{names}</modules>"), encoding="utf-8")
    for name, coordinates in modules.items():
        entries = "".join(_dependency(one, with_dependencies=with_dependencies) for one in coordinates)
        (project / name).mkdir()
        content = _pom(name, f"<dependencies>{entries}</dependencies>")
        (project / name / "pom.xml").write_text(content, encoding="utf-8")


def _pom(name: str, body: str) -> str:
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        f"<groupId>databank</groupId><artifactId>{escape(name)}</artifactId><version>1</version>"
        f"<packaging>pom</packaging>{body}</project>\n"
    )


def _dependency(one: Coordinates, *, with_dependencies: bool) -> str:
    classifier = f"<classifier>{escape(one.classifier)}</classifier>" if one.classifier else ""
    return (
        f"<dependency><groupId>{escape(one.group)}</groupId><artifactId>{escape(one.artifact)}</artifactId>"
        f"<version>{escape(one.version)}</version><type>{escape(one.kind)}</type>{classifier}"
        f"{'' if with_dependencies else _EXCLUDE_ALL}</dependency>"
    )
