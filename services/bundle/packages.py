"""Debian packages with everything they depend on, as a repository in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.bundle.debian import DebianRoot
from services.setup.progress import say

_KEPT = "/packages"


@dataclass(frozen=True, slots=True)
class Package:
    """One package as the repository's index names it; `size` in bytes."""

    name: str
    version: str
    sha256: str
    size: int


def fetch(root: DebianRoot, names: Sequence[str], folder: Path) -> list[Package]:
    """Fill `folder` with the packages' closure and its index.

    The closure is taken over an empty system: a host may have been installed with as little as Debian allows.
    """
    say(f"fetching {len(names)} Debian packages and what they depend on")
    kept = root.path / _KEPT.lstrip("/")
    (kept / "partial").mkdir(parents=True, exist_ok=True)
    # A folder without files: what has been fetched before would not be named.
    wanted = _files(root.run([*_apt("/var/lib/none"), "--print-uris", *names]))
    root.run([*_apt(_KEPT), *names])
    for path in kept.glob("*.deb"):
        if path.name not in wanted:
            path.unlink()  # of an older build
    index = root.run(["apt-ftparchive", "packages", "."], where=_KEPT)
    folder.mkdir(parents=True)
    for name in wanted:
        shutil.copy(kept / name, folder / name)
    (folder / "Packages").write_text(index, encoding="utf-8")
    return _listed(index)


def _apt(archives: str) -> list[str]:
    # An empty status file: nothing counts as installed.
    options = ["Dir::State::status=/dev/null", f"Dir::Cache::archives={archives}", "APT::Sandbox::User=root"]
    options.append("APT::Keep-Downloaded-Packages=true")
    chosen = [word for option in options for word in ("-o", option)]
    return ["apt-get", *chosen, "install", "--download-only", "--yes", "--quiet", "--no-install-recommends"]


def _files(printed: str) -> set[str]:
    """File names in what `--print-uris` prints: 'URI' NAME SIZE HASH, a line each."""
    return {line.split()[1] for line in printed.splitlines() if line.startswith("'")}


def _listed(index: str) -> list[Package]:
    found = []
    for entry in index.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line and not line.startswith(" "))
        found.append(Package(fields["Package"], fields["Version"], fields["SHA256"], int(fields["Size"])))
    return sorted(found, key=lambda package: package.name)
