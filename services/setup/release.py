"""The release file: what is installed, from where it is known to come, and how each file is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spark_jobs.errors import TerminalError

FORMAT = 1
_SHA256_DIGITS = 64
_PARTS = (4, 5)
_SECTIONS = ("version", "target", "os_packages", "components", "artifacts", "locks")


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Maven coordinates, written as Maven does: `group:artifact:type[:classifier]:version`."""

    group: str
    artifact: str
    kind: str
    version: str
    classifier: str = ""

    @classmethod
    def parse(cls, text: str) -> Coordinates:
        """The coordinates of `text`; TerminalError when it has neither four parts nor five."""
        parts = text.split(":")
        if len(parts) not in _PARTS or not all(parts):
            raise TerminalError(f"coordinates {text!r}: wanted group:artifact:type[:classifier]:version")
        group, artifact, kind, *classifier, version = parts
        return cls(group, artifact, kind, version, *classifier)

    def __str__(self) -> str:
        classifier = f":{self.classifier}" if self.classifier else ""
        return f"{self.group}:{self.artifact}:{self.kind}{classifier}:{self.version}"

    @property
    def file_name(self) -> str:
        """The file's name in a Maven repository."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{classifier}.{self.kind}"

    @property
    def path(self) -> str:
        """The file's place in a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of the release; `size` in bytes, `licence` as an SPDX expression."""

    name: str
    version: str
    coordinates: Coordinates
    sha256: str
    size: int
    licence: str
    component: str


@dataclass(frozen=True, slots=True)
class Component:
    """What one component is made of.

    `plugins` names what is kept of an archive, empty for all; `embedded` is false for what the cluster alone runs.
    """

    name: str
    roots: tuple[Coordinates, ...]
    with_dependencies: bool
    jvm_flags: tuple[str, ...]
    plugins: tuple[str, ...]
    embedded: bool


@dataclass(frozen=True, slots=True)
class Target:
    """The system of the cluster's hosts: Debian's version and its name, and its Python."""

    debian: str
    suite: str
    python: str


@dataclass(frozen=True, slots=True)
class Release:
    """The whole release file; `locks` maps the name of a lock file to its sha256, `os_packages` a list to its names."""

    version: str
    target: Target
    os_packages: Mapping[str, tuple[str, ...]]
    components: Mapping[str, Component]
    artifacts: tuple[Artifact, ...]
    locks: Mapping[str, str]

    def of(self, component: str) -> tuple[Artifact, ...]:
        """The artifacts of one component, in the order of the file."""
        return tuple(artifact for artifact in self.artifacts if artifact.component == component)

    @property
    def embedded(self) -> tuple[Artifact, ...]:
        """What one machine needs that runs the embedded stack; the cluster needs all artifacts."""
        return tuple(artifact for artifact in self.artifacts if self.components[artifact.component].embedded)


def load(path: Path) -> Release:
    """Read and check the release file; TerminalError lists every problem."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise TerminalError(f"release file {path} cannot be read: {error}; restore it from the repository") from error
    return parse(given, where=str(path))


def parse(given: object, *, where: str) -> Release:
    """The release in parsed YAML; TerminalError lists every problem."""
    problems = _problems(given)
    if problems or not isinstance(given, dict):
        raise TerminalError(f"{where}: {'; '.join(problems)}; restore it from the repository")
    return Release(
        version=str(given["version"]),
        target=Target(**given["target"]),
        os_packages={name: tuple(packages) for name, packages in given["os_packages"].items()},
        components={name: _component(name, section) for name, section in given["components"].items()},
        artifacts=tuple(_artifact(entry) for entry in given["artifacts"]),
        locks={lock["file"]: lock["sha256"] for lock in given["locks"]},
    )


def _component(name: str, section: Mapping[str, Any]) -> Component:
    return Component(
        name=name,
        roots=tuple(Coordinates.parse(root) for root in section["roots"]),
        with_dependencies=section["with_dependencies"],
        jvm_flags=tuple(section["jvm_flags"]),
        plugins=tuple(section.get("plugins", ())),
        embedded=section.get("embedded", True),
    )


def _artifact(entry: Mapping[str, Any]) -> Artifact:
    return Artifact(
        **{**entry, "version": str(entry["version"]), "coordinates": Coordinates.parse(entry["coordinates"])}
    )


def _problems(given: object) -> list[str]:
    if not isinstance(given, dict):
        return ["the file is not a mapping"]
    if given.get("format") != FORMAT:
        return [f"format is {given.get('format')!r}, wanted {FORMAT}"]
    missing = [key for key in _SECTIONS if key not in given]
    if missing:
        return [f"missing {', '.join(missing)}"]
    fields = set(Artifact.__dataclass_fields__)
    problems = []
    for number, entry in enumerate(given["artifacts"], start=1):
        if set(entry) != fields:
            problems.append(f"artifact {number} has the fields {sorted(entry)}, wanted {sorted(fields)}")
        elif len(entry["sha256"]) != _SHA256_DIGITS or not isinstance(entry["size"], int):
            problems.append(f"artifact {entry['name']}: sha256 or size is malformed")
        elif entry["component"] not in given["components"]:
            problems.append(f"artifact {entry['name']}: component {entry['component']!r} is not listed")
    return problems
