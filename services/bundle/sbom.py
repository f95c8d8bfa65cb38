"""The bill of materials in CycloneDX 1.6 (JSON): every artifact, wheel and Debian package, with hash and licence."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any
from urllib.parse import quote

from services.bundle.packages import Package
from services.setup.release import Release

_MOST_WORDS = 120  # some give the whole text where its name belongs
_TYPE_OF = {"jar": "library", "tar.gz": "application"}


def document(
    release: Release, wheels: Iterable[Path], packages: Sequence[Package], *, commit: str, built_at: str
) -> dict[str, Any]:
    """The whole document; no field in it depends on the machine that built it."""
    found = [*_artifacts(release), *_wheels(wheels), *_debian(release, packages)]
    components = {component["bom-ref"]: component for component in found}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": built_at,
            "component": {
                "type": "application",
                "bom-ref": "databank",
                "name": "databank",
                "version": release.version,
                "properties": [{"name": "databank:commit", "value": commit}],
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": [components[key] for key in sorted(components)],
    }


def _artifacts(release: Release) -> Iterable[dict[str, Any]]:
    for artifact in release.artifacts:
        where = artifact.coordinates
        qualifiers = f"?type={where.kind}" + (f"&classifier={where.classifier}" if where.classifier else "")
        purl = f"pkg:maven/{where.group}/{where.artifact}@{quote(where.version)}{qualifiers}"
        component = _component(purl, where.artifact, where.version, artifact.sha256)
        component |= {"type": _TYPE_OF.get(where.kind, "library"), "group": where.group}
        yield component | {"licenses": [{"expression": artifact.licence}]}


def _wheels(wheels: Iterable[Path]) -> Iterable[dict[str, Any]]:
    for wheel in wheels:
        said = _metadata(wheel)
        name, version = said["Name"].lower().replace("_", "-"), said["Version"]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        component = _component(f"pkg:pypi/{name}@{quote(version)}", said["Name"], version, digest)
        yield component | _licence(said)


def _licence(said: Message) -> dict[str, Any]:
    """What the package says, best first: an SPDX expression, its own words, a classifier."""
    if expression := said.get("License-Expression"):
        return {"licenses": [{"expression": expression}]}
    words = (said.get("License") or "").strip().splitlines()[:1]
    words += [line.rpartition(" :: ")[2] for line in said.get_all("Classifier", []) if line.startswith("License ::")]
    return {"licenses": [{"license": {"name": words[0][:_MOST_WORDS]}}]} if words else {}


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
        return Parser().parsestr(archive.read(name).decode(), headersonly=True)


def _debian(release: Release, packages: Sequence[Package]) -> Iterable[dict[str, Any]]:
    distribution = f"debian-{release.target.debian}"
    for package in packages:
        name = quote(package.name, safe="")
        purl = f"pkg:deb/debian/{name}@{quote(package.version)}?distro={distribution}"
        yield _component(purl, package.name, package.version, package.sha256)


def _component(purl: str, name: str, version: str, sha256: str) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
    }
