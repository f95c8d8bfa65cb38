"""Is a bundle whole and signed? The standard library and `ssh-keygen` answer, and nothing but the bundle is read."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from services.bundle import layout, signing
from spark_jobs.errors import TerminalError

_BLOCK_BYTES = 1 << 20
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good bundle says of itself; `fingerprint` is that of the key that signed it."""

    version: str
    commit: str
    built_at: str
    files: int
    size: int
    fingerprint: str


def verify(path: Path, *, signers: str | None = None) -> Verified:
    """Hold every file of a bundle (the tar, or the folder it was unpacked to) to its signed manifest.

    `signers` are the keys that the reader trusts; without them the bundle's own are taken, and the fingerprint is for
    the reader to compare. TerminalError names what is missing, changed or not listed.
    """
    try:
        if path.is_dir():
            return _held(_files_of(path), signers, where=str(path))
        with tarfile.open(path, "r|") as tar:
            return _held(_members_of(tar, path), signers, where=str(path))
    except OSError as error:
        raise TerminalError(f"bundle {path} cannot be read: {error.strerror or error}; copy it again") from error
    except tarfile.TarError as error:
        raise TerminalError(f"bundle {path} is damaged: {error}; copy it again") from error


Entry = tuple[str, IO[bytes]]


def _held(entries: Iterator[Entry], trusted: str | None, *, where: str) -> Verified:
    # The three files that all else is judged by come first in the tar, and are read before any other.
    head: dict[str, bytes] = {}
    manifest: dict[str, Any] = {}
    fingerprint, left, wrong = "", {}, []
    for name, file in entries:
        if name in layout.UNLISTED:
            head[name] = file.read()
            if len(head) == len(layout.UNLISTED):
                manifest, fingerprint = _judged(head, trusted, where)
                left = dict(manifest["files"])
        elif not manifest:
            raise TerminalError(f"bundle {where}: {name} comes before the signed manifest; this is no Databank bundle")
        elif (wanted := left.pop(name, None)) is None:
            wrong.append(f"{name} is not listed")
        elif _digest(file) != wanted["sha256"]:
            wrong.append(f"{name} is not the signed file")
    if not manifest:
        missing = sorted(layout.UNLISTED - set(head))
        raise TerminalError(f"bundle {where} lacks {', '.join(missing)}; this is no whole Databank bundle")
    wrong += [f"{name} is missing" for name in left]
    if wrong:
        more = f" and {len(wrong) - _MOST_SHOWN} more" if len(wrong) > _MOST_SHOWN else ""
        raise TerminalError(f"bundle {where}: {'; '.join(wrong[:_MOST_SHOWN])}{more}. Do not use it; copy it again")
    files = manifest["files"]
    size = sum(int(one["size"]) for one in files.values())
    version, commit, built_at = (str(manifest[name]) for name in ("version", "commit", "built_at"))
    return Verified(version, commit, built_at, files=len(files), size=size, fingerprint=fingerprint)


def _judged(head: dict[str, bytes], trusted: str | None, where: str) -> tuple[dict[str, Any], str]:
    signers = head[layout.SIGNERS].decode(errors="replace") if trusted is None else trusted
    try:
        fingerprint = signing.check(head[layout.MANIFEST], head[layout.SIGNATURE], signers)
    except TerminalError as error:
        raise TerminalError(f"bundle {where}: {error}. Do not use it; ask who built it") from error
    manifest: dict[str, Any] = json.loads(head[layout.MANIFEST])
    if manifest.get("format") != layout.FORMAT:
        raise TerminalError(f"bundle {where} has format {manifest.get('format')}, wanted {layout.FORMAT}")
    return manifest, fingerprint


def _members_of(tar: tarfile.TarFile, path: Path) -> Iterator[Entry]:
    for member in tar:
        name = str(PurePosixPath(*PurePosixPath(member.name).parts[1:]))
        if member.isdir():
            continue
        file = tar.extractfile(member) if member.isfile() else None
        if file is None or ".." in PurePosixPath(member.name).parts or member.name.startswith("/"):
            raise TerminalError(f"bundle {path}: {member.name} is neither a plain file nor a folder. Do not use it")
        yield name, file


def _files_of(root: Path) -> Iterator[Entry]:
    head = [root / name for name in sorted(layout.UNLISTED)]
    for path in [*head, *(found for found in sorted(root.rglob("*")) if _counts(found, root))]:
        if path.is_symlink():
            raise TerminalError(f"bundle {root}: {path} is a link. Do not use it; unpack it again")
        if path.is_file():
            with path.open("rb") as file:
                yield path.relative_to(root).as_posix(), file


def _counts(path: Path, root: Path) -> bool:
    """False for what using the bundle leaves in its folder, and for what has been read already."""
    inside = path.relative_to(root)
    if inside.as_posix() in layout.UNLISTED or inside.parts[0] == ".databank":
        return False
    return "__pycache__" not in inside.parts


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
