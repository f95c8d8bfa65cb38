"""Backups as the control node keeps them: begun under another name, whole or not one at all."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from services.cluster.state import State
from spark_jobs.errors import TerminalError

MANIFEST = "backup.json"
_UNFINISHED = "unfinished"
_STATE = "state.tar"
_BLOCK_BYTES = 1 << 20


def begin(known: State, folder: Path, inventory: Path) -> None:
    """Make the folder, empty but for state and settings; what the playbook adds counts once `end` has listed it.

    Settings are the inventory and its group_vars and host_vars: whoever restores gives them with -i.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _UNFINISHED).exists():
        raise TerminalError(f"{folder} is not empty; name a folder that is new")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _UNFINISHED).touch()
    for old in folder.iterdir():  # of a backup that broke off
        if old.name != _UNFINISHED:
            old.unlink()
    path = folder / _STATE
    path.touch(mode=0o600)
    with tarfile.open(path, "w") as tar:
        tar.add(known.folder, arcname="state", filter=_without_sockets)
        for path in (inventory, *(inventory.parent / name for name in ("group_vars", "host_vars"))):
            if path.exists():
                tar.add(path, arcname=f"inventory/{path.name}")


def _without_sockets(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.name.startswith("state/ssh") else member


def end(folder: Path) -> None:
    """List every file with its sha256: from now on it is a backup."""
    files = sorted(path for path in folder.iterdir() if path.name not in {MANIFEST, _UNFINISHED})
    text = json.dumps({"format": 1, "sha256": {path.name: _sha256(path) for path in files}}, indent=2)
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(f"{text}\n", encoding="utf-8")
    partial.rename(folder / MANIFEST)
    (folder / _UNFINISHED).unlink()


def is_whole(folder: Path) -> bool:
    """True for a backup that was made to its end."""
    return (folder / MANIFEST).is_file()


def bring_back(known: State, folder: Path) -> None:
    """Check the backup and give the control node its state; one that it has must be the same cluster's."""
    _check(folder)
    with tarfile.open(folder / _STATE) as tar:
        kept = json.load(tar.extractfile("state/cluster.json"))  # type: ignore[arg-type] # a file, not a folder
        if known.facts_file.exists():
            has = json.loads(known.facts_file.read_text(encoding="utf-8"))
            if has["cluster_id"] != kept["cluster_id"]:
                raise TerminalError(
                    f"{known.folder} is the state of another cluster than the backup's; restore beside an inventory "
                    "without state"
                )
            return
        members = [member for member in tar if member.name.partition("/")[0] == "state"]
        tar.extractall(known.folder.parent, members, filter="data")
    known.folder.chmod(0o700)


def _check(folder: Path) -> None:
    if not is_whole(folder):
        raise TerminalError(f"{folder} holds no {MANIFEST}: it is no backup, or one that broke off")
    listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["sha256"]
    wrong = [name for name, digest in listed.items() if not _is_whole(folder / name, digest)]
    if wrong:
        raise TerminalError(f"{folder}: {', '.join(wrong)} missing or damaged; take another backup")


def _is_whole(path: Path, digest: str) -> bool:
    return path.is_file() and _sha256(path) == digest


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
