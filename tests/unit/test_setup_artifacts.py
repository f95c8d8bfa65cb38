"""Files of the cache are held to their sha256; an archive is unpacked whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from services.setup import artifacts, maven, space
from services.setup.artifacts import Store
from services.setup.progress import Progress
from services.setup.release import Artifact, Coordinates
from spark_jobs.errors import TerminalError

CONTENT = b"contents of a jar"


def artifact(content: bytes = CONTENT, kind: str = "jar") -> Artifact:
    coordinates = Coordinates("org.example", "thing", kind, "1.0")
    digest = hashlib.sha256(content).hexdigest()
    return Artifact("thing", "1.0", coordinates, digest, len(content), "MIT", "spark")


def stored(store: Store, one: Artifact, content: bytes = CONTENT) -> Path:
    path = store.path_of(one)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # no repository of the user's own
    (tmp_path / "cache").mkdir()
    return Store(tmp_path / "cache")


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maven, "fetch", lambda *_: pytest.fail("a download was started"))


def test_what_is_there_is_not_fetched_again(store: Store) -> None:
    stored(store, artifact())
    artifacts.ensure([artifact()], store, Path("/no/java"))


def test_a_flipped_byte_is_found_with_file_and_remedy(store: Store) -> None:
    path = stored(store, artifact())
    artifacts.verify([artifact()], store)
    path.write_bytes(b"C" + CONTENT[1:])
    with pytest.raises(TerminalError, match="is not the released file") as raised:
        artifacts.verify([artifact()], store)
    assert artifact().sha256 in str(raised.value)
    assert f"rm {path}" in str(raised.value)


def test_an_unchanged_file_is_not_hashed_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(store, artifact())
    artifacts.verify([artifact()], store)
    monkeypatch.setattr(artifacts, "digest_of", lambda _: pytest.fail("hashed again"))
    artifacts.verify([artifact()], store)


def test_another_release_with_another_hash_is_hashed_again(store: Store) -> None:
    stored(store, artifact())
    artifacts.verify([artifact()], store)
    with pytest.raises(TerminalError, match="is not the released file"):
        artifacts.verify([artifact(b"something else...")], store)


def test_a_damaged_note_of_hashes_is_made_anew(store: Store) -> None:
    stored(store, artifact())
    store.stamps_file.write_text("{ broken")
    artifacts.verify([artifact()], store)
    artifacts.verify([artifact()], store)


def test_the_users_own_repository_saves_a_download(store: Store, tmp_path: Path) -> None:
    own = tmp_path / "home" / ".m2" / "repository" / artifact().coordinates.path
    own.parent.mkdir(parents=True)
    own.write_bytes(CONTENT)
    artifacts.ensure([artifact()], store, Path("/no/java"))
    assert store.path_of(artifact()).read_bytes() == CONTENT


def archive(store: Store, tmp_path: Path) -> Artifact:
    source = tmp_path / "thing-1.0"
    for plugin in ("kept", "dropped"):
        (source / "plugin" / plugin).mkdir(parents=True)
    (source / "plugin" / "dropped" / "shared.jar").write_text("shared")
    os.link(source / "plugin" / "dropped" / "shared.jar", source / "plugin" / "kept" / "shared.jar")
    packed = tmp_path / "thing.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(source, "thing-1.0")
    one = artifact(packed.read_bytes(), kind="tar.gz")
    stored(store, one, packed.read_bytes())
    return one


def test_only_the_wanted_plugins_stay_and_links_between_them_hold(store: Store, tmp_path: Path) -> None:
    home = artifacts.unpack(archive(store, tmp_path), store, plugins=["kept"])
    assert [path.name for path in (home / "plugin").iterdir()] == ["kept"]
    assert (home / "plugin" / "kept" / "shared.jar").read_text() == "shared"


def test_a_half_unpacked_archive_is_begun_anew(store: Store, tmp_path: Path) -> None:
    one = archive(store, tmp_path)
    leftover = store.root / "unpacked" / "thing-1.0.partial" / "old"
    leftover.mkdir(parents=True)
    home = artifacts.unpack(one, store, plugins=[])
    assert not (home / "old").exists()


def test_a_changed_file_of_an_unpacked_archive_is_repaired(store: Store, tmp_path: Path) -> None:
    one = archive(store, tmp_path)
    shared = artifacts.unpack(one, store, plugins=["kept"]) / "plugin" / "kept" / "shared.jar"
    shared.write_text("damaged")
    artifacts.unpack(one, store, plugins=["kept"])
    assert shared.read_text() == "shared"


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"no room for the download in .* wanted 1000000000\.0 GB; make room"):
        space.require_free(tmp_path, 10**18, "the download")


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TerminalError, match="cannot be made"):
        space.require_writable(tmp_path / "file" / "below")


def test_progress_counts_unfinished_downloads(tmp_path: Path) -> None:
    done, growing = tmp_path / "done.jar", tmp_path / "growing.jar"
    done.write_bytes(bytes(1_000_000))
    growing.with_name("growing.jar.part").write_bytes(bytes(2_000_000))
    progress = Progress("downloading", {done: 1_000_000, growing: 4_000_000})
    assert progress.line() == "downloading: 1 of 2 files, 3 of 5 MB"
