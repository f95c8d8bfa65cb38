"""Maintainer's verb: lock the Python packages and pin every artifact of the release file again.

`python -m services.setup.pins` runs `uv pip compile` (uv must be on PATH) and `mvn`, then rewrites what follows
`locks:` in the release file. It is run by hand when a version changes; set-up only ever reads its result.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from services.setup import java, maven, paths
from services.setup.licences import licence_of
from services.setup.release import Artifact, Component, Coordinates, Release, load
from spark_jobs.errors import TerminalError, ended

_EVERYWHERE = ["--universal", "--python-version=3.11"]
_ON_THE_CLUSTER = ["--python-platform=linux", "--python-version=3.13"]  # Debian 13
# What each lock file is made of. The cluster's platform is the checkout's without what only developers use.
LOCKS = {
    "requirements-build.lock": ["requirements-build.in", "--allow-unsafe", *_EVERYWHERE],
    "requirements.lock": ["pyproject.toml", "--all-extras", *_EVERYWHERE],
    "ansible/python/platform.lock": [
        "pyproject.toml",
        "--extra=spark",
        "--extra=services",
        "--constraint=requirements.lock",
        *_ON_THE_CLUSTER,
    ],
    "ansible/python/control.lock": ["ansible/python/control.in", *_ON_THE_CLUSTER],
    "ansible/python/airflow.lock": ["ansible/python/airflow.in", *_EVERYWHERE],
}
_COMPILE = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
_LISTED = re.compile(r"^\s+([\w.-]+:[\w.-]+:[\w.]+(?::[\w.-]+)?:[\w.-]+):(?:compile|runtime)\b")


def main(argv: list[str] | None = None) -> int:
    """Lock, resolve, hash, write."""
    parser = argparse.ArgumentParser(prog="python -m services.setup.pins", description=__doc__)
    parser.add_argument("--keep-locks", action="store_true", help="leave the Python lock files as they are")
    parser.add_argument("--release", metavar="X.Y.Z", help="another release than the one that this checkout is")
    return ended("pins", partial(_pin, parser.parse_args(argv)))


def _pin(arguments: argparse.Namespace) -> int:
    if not arguments.keep_locks:
        lock_packages()
    path = paths.release_file(arguments.release)
    artifacts = pin(load(path), paths.cache_dir() / "maven")
    path.write_text(render(path.read_text(encoding="utf-8"), artifacts), encoding="utf-8")
    total_mb = sum(artifact.size for artifact in artifacts) / 1e6
    sys.stdout.write(f"{path}: {len(artifacts)} artifacts, {total_mb:,.0f} MB\n")
    return 0


def lock_packages() -> None:
    """Write all lock files; they name no index, so that every site uses its own."""
    uv = shutil.which("uv")
    if uv is None:
        raise TerminalError("`uv` was not found on PATH; install it (`pip install uv`) to make the lock files")
    for lock, arguments in LOCKS.items():
        subprocess.run([uv, *_COMPILE, *arguments, "--output-file", lock], cwd=paths.REPO, check=True)


def pin(release: Release, repository: Path) -> list[Artifact]:
    """Every file that the release's components mean, hashed."""
    java_home = java.choose(java.SPARK).home
    pinned = []
    for component in release.components.values():
        for coordinates in _resolve(component, repository, java_home):
            content = (repository / coordinates.path).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            licence = licence_of(coordinates, repository)
            name, version = coordinates.artifact, coordinates.version
            pinned.append(Artifact(name, version, coordinates, digest, len(content), licence, component.name))
    return pinned


def _resolve(component: Component, repository: Path, java_home: Path) -> list[Coordinates]:
    with tempfile.TemporaryDirectory(prefix="databank-pins-") as scratch:
        project, listing = Path(scratch), Path(scratch) / "list.txt"
        modules = {component.name: list(component.roots)}
        maven.write_poms(project, modules, with_dependencies=component.with_dependencies)
        module = project / component.name
        maven.run(
            module, repository, java_home, ["dependency:list", f"-DoutputFile={listing}", "-DincludeScope=runtime"]
        )
        found = (_LISTED.match(line) for line in listing.read_text(encoding="utf-8").splitlines())
        return sorted((Coordinates.parse(match[1]) for match in found if match), key=str)


def render(old: str, artifacts: list[Artifact]) -> str:
    """The release file's text with `locks` and `artifacts` replaced; all before them is kept as written."""
    head = old[: old.index("\nlocks:") + 1]
    lines = ["locks:"]
    for lock in LOCKS:
        digest = hashlib.sha256((paths.REPO / lock).read_bytes()).hexdigest()
        lines += [f"  - file: {lock}", f"    sha256: {digest}"]
    lines.append("artifacts:")
    for artifact in artifacts:
        lines += [
            f"  - name: {artifact.name}",
            f'    version: "{artifact.version}"',
            f"    coordinates: {artifact.coordinates}",
            f"    sha256: {artifact.sha256}",
            f"    size: {artifact.size}",
            f"    licence: {artifact.licence}",
            f"    component: {artifact.component}",
        ]
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
