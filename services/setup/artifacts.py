"""Artifacts in the user's cache: fetched through Maven, held to their sha256, unpacked whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.setup import maven
from services.setup.progress import say
from services.setup.release import Artifact
from services.setup.space import require_free
from spark_jobs.errors import TerminalError

_BLOCK_BYTES = 1 << 20
# A little of Maven's own (plug-ins, poms) beside the artifacts.
_MAVEN_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Store:
    """The cache's folders: Maven's repository layout, and what was unpacked from it."""

    root: Path

    @property
    def repository(self) -> Path:
        """Where `mvn` puts files."""
        return self.root / "maven"

    def path_of(self, artifact: Artifact) -> Path:
        """Where the artifact is, once fetched."""
        return self.repository / artifact.coordinates.path

    @property
    def stamps_file(self) -> Path:
        """What was hashed before: size, modification time and sha256 of each file."""
        return self.root / "verified.json"


def ensure(artifacts: Sequence[Artifact], store: Store, java_home: Path) -> None:
    """Every artifact is in the store and has its sha256; fetches only what is missing."""
    absent = [artifact for artifact in artifacts if not store.path_of(artifact).exists()]
    absent = [artifact for artifact in absent if not _take_from_users_repository(artifact, store)]
    if absent:
        needed = sum(artifact.size for artifact in absent) + _MAVEN_BYTES
        require_free(store.root, needed, "the download of jars and archives")
        say(f"fetching {len(absent)} of {len(artifacts)} artifacts through Maven into {store.repository}")
        maven.fetch(absent, store.repository, java_home)
    verify(artifacts, store)


def verify(artifacts: Sequence[Artifact], store: Store) -> None:
    """Hold every artifact to the release file; a file is hashed again only when its size or time changed."""
    stamps = _read_stamps(store)
    fresh: dict[str, list[object]] = {}
    for artifact in artifacts:
        path = store.path_of(artifact)
        try:
            status = path.stat()
            seen: list[object] = [status.st_size, status.st_mtime_ns, artifact.sha256]
            if stamps.get(artifact.coordinates.path) != seen:
                _require_digest(artifact, path)
        except OSError as error:
            raise TerminalError(
                f"artifact {path} cannot be read: {error.strerror}; mend its rights, or remove it"
            ) from error
        fresh[artifact.coordinates.path] = seen
    if any(stamps.get(path) != seen for path, seen in fresh.items()):
        _write_whole(store.stamps_file, json.dumps({**stamps, **fresh}, indent=0))


def unpack(artifact: Artifact, store: Store, *, plugins: Sequence[str]) -> Path:
    """The folder that the archive `artifact` unpacks to, with only `plugins` of its plug-ins; unpacked once."""
    name = f"{artifact.name}-{artifact.version}"
    target = store.root / "unpacked" / name
    if _is_complete(target, artifact):
        return target
    require_free(store.root, 2 * artifact.size, f"unpacking {artifact.name}")
    say(f"unpacking {artifact.name} {artifact.version}")
    partial = target.with_name(f"{name}.partial")
    for leftover in (partial, target):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    command = [
        "tar",
        "-xzf",
        str(store.path_of(artifact)),
        "--strip-components=1",
        "--no-same-owner",
        "-C",
        str(partial),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, close_fds=False)  # holds the lock
    if finished.returncode:
        raise TerminalError(f"{artifact.name} could not be unpacked into {partial}: {finished.stderr.strip()[-300:]}")
    # The archive links equal jars between plug-ins, so it is unpacked whole first and thinned out then.
    for folder in (partial / "plugin").glob("*"):
        if plugins and folder.name not in plugins:
            shutil.rmtree(folder)
    (partial / ".complete").write_text(f"{artifact.sha256}\n{_tree_stamp(partial)}\n", encoding="utf-8")
    partial.rename(target)
    return target


def digest_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _require_digest(artifact: Artifact, path: Path) -> None:
    found = digest_of(path)
    if found != artifact.sha256:
        raise TerminalError(
            f"artifact {artifact.coordinates} is not the released file: "
            f"sha256 of {path} is {found}, wanted {artifact.sha256}. Remove it (`rm {path}`) and run again; "
            "if it comes back the same, do not use its source"
        )


def _take_from_users_repository(artifact: Artifact, store: Store) -> bool:
    """Save a download where the user's own Maven repository holds the very same file."""
    own = Path.home() / ".m2" / "repository" / artifact.coordinates.path
    try:
        if own.stat().st_size != artifact.size or digest_of(own) != artifact.sha256:
            return False
        target = store.path_of(artifact)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        shutil.copy2(own, partial)
        partial.rename(target)
    except OSError:
        return False
    return True


def _is_complete(target: Path, artifact: Artifact) -> bool:
    try:
        marker = (target / ".complete").read_text(encoding="utf-8")
    except OSError:
        return False
    return marker == f"{artifact.sha256}\n{_tree_stamp(target)}\n"


def _tree_stamp(folder: Path) -> str:
    """A hash of names, sizes and modification times: changes when a file under `folder` was touched."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".complete":
            status = path.stat()
            digest.update(f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read_stamps(store: Store) -> Mapping[str, object]:
    try:
        stamps = json.loads(store.stamps_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # nothing was hashed yet, or the note was damaged: hash everything again
    return stamps if isinstance(stamps, dict) else {}


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.rename(path)
