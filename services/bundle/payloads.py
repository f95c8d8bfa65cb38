"""What one component needs on a host, as one tar that is unpacked as it is: libraries, wheels, packages or code."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.setup import artifacts
from services.setup.artifacts import Store
from services.setup.release import Artifact, Release

_METASTORE_SCHEMA = "scripts/metastore/upgrade/postgres"


@dataclass(frozen=True, slots=True)
class Payload:
    """One tar: `contents` maps names inside it to files."""

    name: str
    version: str
    contents: Mapping[str, Path]

    @property
    def file_name(self) -> str:
        """The tar's name."""
        return f"{self.name}-{self.version}.tar"


@contextmanager
def of_components(release: Release, store: Store, log_store: Path) -> Iterator[list[Payload]]:
    """The payloads of everything that runs on Java; the files are there until the block is left."""
    with tempfile.TemporaryDirectory(prefix="databank-payloads-", dir=store.root) as scratch:
        yield [
            Payload("kafka", _version(release, "kafka"), _jars(release, store, "kafka")),
            Payload("hdfs", _version(release, "hdfs"), hdfs_files(release, store, Path(scratch))),
            Payload("hive_metastore", _version(release, "hive_metastore"), _metastore(release, store, Path(scratch))),
            Payload(
                "spark", _version(release, "spark"), _jars(release, store, "spark") | {"lib/log-store.jar": log_store}
            ),
            Payload("trino", _version(release, "trino"), _trino(release, store)),
            Payload("trino_cli", _version(release, "trino_cli"), _jars(release, store, "trino_cli")),
            Payload("monitoring", _version(release, "monitoring"), _jars(release, store, "monitoring")),
        ]


def write(payload: Payload, target: Path, *, epoch: int) -> None:
    """Write the tar: sorted, owned by root, all of one time, so that the same contents make the same bytes.

    Files that are one on this disk (Trino links equal jars between plug-ins) stay one.
    """
    first_names: dict[tuple[int, int], str] = {}
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in sorted(payload.contents.items()):
            status = path.stat()
            first = first_names.setdefault((status.st_dev, status.st_ino), name)
            if first == name:
                add(tar, name, path, epoch=epoch)
            else:
                link = _member(name, path, epoch)
                link.type, link.linkname, link.size = tarfile.LNKTYPE, first, 0
                tar.addfile(link)


def add(tar: tarfile.TarFile, name: str, path: Path, *, epoch: int) -> None:
    """Add one file; of its mode only whether it can be run is kept."""
    with path.open("rb") as file:
        tar.addfile(_member(name, path, epoch), file)


def _member(name: str, path: Path, epoch: int) -> tarfile.TarInfo:
    member, status = tarfile.TarInfo(name), path.stat()
    member.size, member.mtime = status.st_size, epoch
    member.mode = 0o755 if status.st_mode & 0o100 else 0o644
    return member


def _version(release: Release, component: str) -> str:
    """The version of what is named first: the component itself."""
    return release.components[component].roots[0].version


def _jars(release: Release, store: Store, component: str) -> dict[str, Path]:
    found = [artifact for artifact in release.of(component) if artifact.coordinates.kind == "jar"]
    return {f"lib/{artifact.coordinates.file_name}": store.path_of(artifact) for artifact in found}


def hdfs_files(release: Release, store: Store, scratch: Path) -> dict[str, Path]:
    """Where HDFS's files lie, by their names in its payload: `lib/...` and `webapps/...`; the latter in `scratch`."""
    (carrier,) = release.of("hdfs_webapps")
    folder = scratch / "webapps"
    with zipfile.ZipFile(store.path_of(carrier)) as jar:
        for name in jar.namelist():
            if name.startswith("webapps/"):
                jar.extract(name, folder)
    return _jars(release, store, "hdfs") | _tree(folder / "webapps", "webapps")


def _metastore(release: Release, store: Store, scratch: Path) -> dict[str, Path]:
    archive = _archive(release, "hive_metastore")
    folder = scratch / "hive"
    with tarfile.open(store.path_of(archive)) as tar:
        top = tar.getnames()[0].partition("/")[0]
        wanted = (f"{top}/lib/", f"{top}/{_METASTORE_SCHEMA}/")
        tar.extractall(folder, [member for member in tar if member.name.startswith(wanted)], filter="data")
    schema = _tree(folder / top / _METASTORE_SCHEMA, "schema")
    return _tree(folder / top / "lib", "lib") | schema | _jars(release, store, "hive_metastore")


def _trino(release: Release, store: Store) -> dict[str, Path]:
    plugins = release.components["trino"].plugins
    return _tree(artifacts.unpack(_archive(release, "trino"), store, plugins=plugins), "")


def _archive(release: Release, component: str) -> Artifact:
    (archive,) = (artifact for artifact in release.of(component) if artifact.coordinates.kind == "tar.gz")
    return archive


def _tree(folder: Path, prefix: str) -> dict[str, Path]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".complete"]
    return {(Path(prefix) / path.relative_to(folder)).as_posix(): path for path in files}
