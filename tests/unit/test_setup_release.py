"""The release file and the lock files say the same as the rest of the repository."""

from __future__ import annotations

import hashlib
import re
import subprocess
from typing import Any

import pytest
import yaml

from services.setup import packages, paths, pins, release
from services.setup.licences import to_spdx
from services.setup.release import Coordinates
from spark_jobs.errors import TerminalError

TEXT = paths.release_file().read_text(encoding="utf-8")
RELEASE = release.load(paths.release_file())


def test_every_root_is_among_the_artifacts() -> None:
    for component in RELEASE.components.values():
        listed = {artifact.coordinates for artifact in RELEASE.of(component.name)}
        assert set(component.roots) <= listed


def test_no_artifact_is_listed_twice_in_a_component() -> None:
    keys = [(artifact.component, artifact.coordinates) for artifact in RELEASE.artifacts]
    assert len(keys) == len(set(keys))


def test_lock_files_are_the_ones_of_the_release() -> None:
    found = {name: hashlib.sha256((paths.REPO / name).read_bytes()).hexdigest() for name in pins.LOCKS}
    assert found == RELEASE.locks


def test_generated_part_is_what_the_maintainers_verb_writes() -> None:
    assert pins.render(TEXT, list(RELEASE.artifacts)) == TEXT


def test_the_early_reader_of_os_packages_agrees_with_yaml() -> None:
    assert packages.listed(TEXT) == yaml.safe_load(TEXT)["os_packages"]


def test_the_connectors_kafka_client_is_the_patched_one() -> None:
    versions = {a.version for a in RELEASE.of("spark") if a.name == "kafka-clients"}
    assert len(versions) == 1
    assert tuple(map(int, versions.pop().split("."))) >= (3, 9, 2)


@pytest.mark.parametrize("lock", pins.LOCKS)
def test_locks_pin_hashes_and_name_no_host(lock: str) -> None:
    text = (paths.REPO / lock).read_text(encoding="utf-8")
    requirements = re.findall(r"^[a-z0-9][\w.-]*==", text, re.MULTILINE)
    assert requirements
    assert len(re.findall(r"^[a-z0-9][^\n]*\\\n {4}--hash=sha256:", text, re.MULTILINE)) == len(requirements)
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"format": 2}, "format is 2, wanted 1", id="another format"),
        pytest.param({"artifacts": None}, "missing artifacts", id="nothing listed"),
        pytest.param({"artifacts": [{"name": "x"}]}, "artifact 1 has the fields", id="fields are missing"),
    ],
)
def test_a_broken_release_file_is_refused(change: dict[str, Any], said: str) -> None:
    given = {**yaml.safe_load(TEXT), **change}
    given = {key: value for key, value in given.items() if value is not None}
    with pytest.raises(TerminalError, match=re.escape(said)):
        release.parse(given, where="release")


def test_coordinates_name_the_file_in_a_repository() -> None:
    archive = Coordinates.parse("io.trino:trino-server:tar.gz:476")
    assert archive.path == "io/trino/trino-server/476/trino-server-476.tar.gz"
    classified = Coordinates.parse("org.apache.hive:hive-standalone-metastore:tar.gz:bin:3.1.3")
    assert classified.file_name == "hive-standalone-metastore-3.1.3-bin.tar.gz"
    assert str(classified) == "org.apache.hive:hive-standalone-metastore:tar.gz:bin:3.1.3"
    with pytest.raises(TerminalError, match=r"wanted group:artifact:type\[:classifier\]:version"):
        Coordinates.parse("io.trino:trino-server")


def test_an_embedded_stack_needs_a_part_of_the_artifacts_alone() -> None:
    assert {artifact.component for artifact in RELEASE.embedded} == {"spark", "kafka", "trino"}
    assert {"hdfs", "hive_metastore"} <= {artifact.component for artifact in RELEASE.artifacts}


@pytest.mark.parametrize(
    ("written", "spdx"),
    [
        ("The Apache Software License, Version 2.0", "Apache-2.0"),
        ("GPL2 w/ CPE", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("BSD 2-Clause", "BSD-2-Clause"),
        ("Eclipse Distribution License - v 1.0", "BSD-3-Clause"),
    ],
)
def test_licences_are_told_as_spdx(written: str, spdx: str) -> None:
    assert to_spdx(written) == spdx


def test_an_unknown_licence_is_not_guessed() -> None:
    with pytest.raises(TerminalError, match="is not known"):
        to_spdx("Licence of my own")


def test_a_version_stands_in_the_release_file_and_nowhere_else() -> None:
    versions = {root.version for component in RELEASE.components.values() for root in component.roots}
    wanted = re.compile(rf"(?<![\d.])({'|'.join(map(re.escape, sorted(versions)))})(?!\.?\d)")
    folders = ["ansible", "services", "spark_jobs", "trino_catalog", "migration", "dags", ".ci", "databank"]
    listed = subprocess.run(["git", "ls-files", *folders], cwd=paths.REPO, capture_output=True, text=True, check=True)
    found = set()
    for name in listed.stdout.split():
        path = paths.REPO / name
        if name.startswith("ansible/releases/") or path.suffix in {".lock", ".png", ".java"} or not path.is_file():
            continue
        text = re.sub(r"(POM/|modelVersion>)4\.0\.0", "", path.read_text(encoding="utf-8"))  # Maven's own format
        found |= {(name, version) for version in wanted.findall(text)}
    assert found == set()
    assert wanted.findall("kafka_2.13-4.1.2.jar and 14.1.2 and 4.1.21") == ["4.1.2"]  # it does find one
