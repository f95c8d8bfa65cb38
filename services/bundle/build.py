"""Building: the commit's code, every artifact, wheel and package of the release, listed, signed, in one tar."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyspark

from services.bundle import debian, layout, log_store, packages, payloads, sbom, signing, wheels
from services.bundle.payloads import Payload
from services.setup import artifacts, java, paths, release
from services.setup.artifacts import Store, digest_of
from services.setup.progress import say
from services.setup.release import Release
from services.setup.space import require_free, require_writable
from spark_jobs.errors import TerminalError

_NEEDED_BYTES = 8_000_000_000
_VERSION_LINE = re.compile(r'^version = "[^"]*"$', re.MULTILINE)
_LOCKS = {name: f"ansible/python/{name}.lock" for name in ("control", "platform", "airflow")}


@dataclass(frozen=True, slots=True)
class Source:
    """The commit that is bundled; `epoch` is its time, which every file of the bundle carries."""

    commit: str
    epoch: int

    @property
    def built_at(self) -> str:
        """The commit's time: building again later makes the same bundle."""
        return datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class _Work:
    """What the steps share: the bundle's tree in a scratch folder, and where its contents come from."""

    tree: Path
    pinned: Release
    store: Store
    root: debian.DebianRoot
    source: Source


def build(key: Path, out: Path, *, version: str | None = None) -> Path:
    """Make `databank-VERSION.tar` of this commit in the folder `out`; it is there whole or not at all.

    `version` names another release than the checkout's: its artifacts, with this code.
    """
    signers = signing.allowed_signers(key)  # a key that cannot be used is found before the downloads
    source, cache = _source(), paths.cache_dir()
    require_writable(out)
    require_free(cache, _NEEDED_BYTES, "building a bundle")
    pinned, store = release.load(paths.release_file(version)), Store(cache)
    artifacts.ensure(pinned.artifacts, store, java.choose(java.SPARK).home)
    root = debian.ensure(pinned.target, cache / "bundle" / f"debian-{pinned.target.debian}")
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache / "bundle") as scratch:
        tree = Path(scratch) / f"databank-{pinned.version}"
        _fill(_Work(tree, pinned, store, root, source))
        (tree / layout.SIGNERS).write_text(signers, encoding="utf-8")
        _write_manifest(tree, pinned, source)
        signing.sign(tree / layout.MANIFEST, key)
        return _pack(tree, out / f"{tree.name}.tar", source)


def _source() -> Source:
    if not (paths.REPO / ".git").exists():
        raise TerminalError(f"{paths.REPO} is no git checkout; a bundle is built from one, so that it names its commit")
    if _git("status", "--porcelain", "--untracked-files=no", "--", ":!docs/proof.md"):  # long runs write it
        raise TerminalError("the checkout has changes that are not committed; commit them: a bundle names its commit")
    commit, epoch = _git("log", "-1", "--format=%H %ct").split()
    return Source(commit, int(epoch))


def _git(*arguments: str) -> str:
    finished = subprocess.run(["git", *arguments], cwd=paths.REPO, capture_output=True, text=True)
    if finished.returncode:
        raise TerminalError(f"`git {' '.join(arguments)}` failed: {finished.stderr.strip()}")
    return finished.stdout.strip()


def _fill(work: _Work) -> None:
    tree, pinned = work.tree, work.pinned
    (tree / layout.PAYLOADS).mkdir(parents=True)
    _take_code(tree, pinned.version)
    kept = work.store.root / "bundle" / "wheels"
    found = {name: wheels.fetch(work.root, paths.REPO / lock, kept) for name, lock in _LOCKS.items()}
    (tree / layout.CONTROL_WHEELS).mkdir()
    for wheel in found["control"]:
        shutil.copy(wheel, tree / layout.CONTROL_WHEELS)
    debs = tree.parent / "packages"
    listed = packages.fetch(work.root, _names_of_packages(pinned), debs)
    say("packing what each component needs")
    uv = _uv_of(found["control"], tree.parent / "uv")
    own = [
        Payload("packages", pinned.version, {path.name: path for path in debs.iterdir()}),
        Payload("tools", _version_of(found["control"], "uv"), {"bin/uv": uv}),
        Payload("platform", pinned.version, _code(tree) | _wheels(found["platform"])),
        Payload("airflow", _version_of(found["airflow"], "apache_airflow"), _wheels(found["airflow"])),
    ]
    with payloads.of_components(pinned, work.store, _log_store(work)) as components:
        for payload in [*own, *components]:
            payloads.write(payload, tree / layout.PAYLOADS / payload.file_name, epoch=work.source.epoch)
    everything = {wheel.name: wheel for group in found.values() for wheel in group}.values()
    told = {"commit": work.source.commit, "built_at": work.source.built_at}
    bill = sbom.document(pinned, everything, listed, **told)
    (tree / layout.SBOM).write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")


def _log_store(work: _Work) -> Path:
    jars = [Path(pyspark.__file__).parent / "jars" / "*", *(work.store.path_of(one) for one in work.pinned.of("spark"))]
    compiled = work.tree.parent / "log-store.jar"
    log_store.compile_jar(compiled, jars)
    return compiled


def _uv_of(found: Sequence[Path], target: Path) -> Path:
    """The program in its wheel."""
    (wheel,) = (wheel for wheel in found if wheel.name.startswith("uv-"))
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        target.write_bytes(archive.read(name))
    target.chmod(0o755)
    return target


def _names_of_packages(pinned: Release) -> list[str]:
    lists = (names for listed, names in pinned.os_packages.items() if _is_targets(listed, pinned))
    return sorted({name for names in lists for name in names})


def _is_targets(name: str, pinned: Release) -> bool:
    """True for the lists that the cluster's hosts and its control node are made of."""
    system, _, purpose = name.rpartition("-")
    return system == f"debian-{pinned.target.debian}" and purpose not in ("run", "test")


def _take_code(tree: Path, version: str) -> None:
    with tempfile.TemporaryFile() as archive:
        subprocess.run(["git", "archive", "--format=tar", "HEAD"], cwd=paths.REPO, stdout=archive, check=True)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as tar:
            tar.extractall(tree, filter="data")
    # A checkout can build each release that it lists; the code says of which one it is.
    project = tree / "pyproject.toml"
    project.write_text(_VERSION_LINE.sub(f'version = "{version}"', project.read_text(encoding="utf-8"), count=1))


def _code(tree: Path) -> dict[str, Path]:
    files = [path for path in tree.rglob("*") if path.is_file() and layout.TOP not in path.relative_to(tree).parts[:1]]
    return {f"code/{path.relative_to(tree).as_posix()}": path for path in files}


def _wheels(found: Sequence[Path]) -> dict[str, Path]:
    return {f"wheels/{wheel.name}": wheel for wheel in found}


def _version_of(found: Sequence[Path], name: str) -> str:
    (version,) = (wheel.name.split("-")[1] for wheel in found if wheel.name.split("-")[0] == name)
    return version


def _write_manifest(tree: Path, pinned: Release, source: Source) -> None:
    files: dict[str, Mapping[str, object]] = {}
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree).as_posix()
        if path.is_file() and name not in layout.UNLISTED:
            files[name] = {"sha256": digest_of(path), "size": path.stat().st_size}
    facts = {"format": layout.FORMAT, "version": pinned.version, "commit": source.commit, "built_at": source.built_at}
    packed = {name: Path(name).name.rpartition("-")[0] for name in files if name.startswith(f"{layout.PAYLOADS}/")}
    payload_of = {component: {"file": name, **files[name]} for name, component in packed.items()}
    text = json.dumps({**facts, "payloads": payload_of, "files": files}, indent=1)
    (tree / layout.MANIFEST).write_text(f"{text}\n", encoding="utf-8")


def _pack(tree: Path, target: Path, source: Source) -> Path:
    # What everything else is judged by comes first, so that a reader can refuse while it reads.
    names = sorted(layout.UNLISTED) + sorted(
        path.relative_to(tree).as_posix()
        for path in tree.rglob("*")
        if path.is_file() and path.relative_to(tree).as_posix() not in layout.UNLISTED
    )
    partial = target.with_name(f"{target.name}.partial")
    say(f"writing {target}")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            payloads.add(tar, f"{tree.name}/{name}", tree / name, epoch=source.epoch)
    partial.rename(target)
    return target
