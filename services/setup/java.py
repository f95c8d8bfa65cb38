"""Find a Java of the wanted version among JAVA_HOME, the distribution's folder and PATH."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spark_jobs.errors import TerminalError

_VERSION_TEXT = re.compile(r'version "(?:1\.)?(\d+)')
_VERSION_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Java:
    """One Java: its home and its major version."""

    home: Path
    major: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which major versions a program runs on: from `lowest` to `highest`, preferred in the order of `preferred`."""

    program: str
    preferred: tuple[int, ...]
    lowest: int
    highest: int

    def accepts(self, major: int) -> bool:
        """True for a version that the program was run on, or, for an open range, for any later one."""
        return major in self.preferred or (not self.preferred and self.lowest <= major <= self.highest)

    def __str__(self) -> str:
        versions = " or ".join(str(major) for major in self.preferred) or f"{self.lowest} or later"
        return f"{self.program} needs Java {versions}"


SPARK = Wanted("Spark", preferred=(17, 21), lowest=17, highest=21)
TRINO = Wanted("Trino", preferred=(), lowest=24, highest=999)


def parse_version(text: str) -> int | None:
    """Major version in what `java -version` prints; Java 8 calls itself 1.8."""
    match = _VERSION_TEXT.search(text)
    return int(match.group(1)) if match else None


def installed() -> list[Java]:
    """Every Java found that answers, each once; JAVA_HOME first."""
    found: dict[Path, Java] = {}
    for home in _candidate_homes():
        if home in found:
            continue
        major = _major_of(home)
        if major is not None:
            found[home] = Java(home, major)
    return list(found.values())


def choose(wanted: Wanted, among: list[Java] | None = None) -> Java:
    """The first Java that `wanted` accepts; TerminalError says what was found instead."""
    candidates = installed() if among is None else among
    for java in candidates:
        if wanted.accepts(java.major):
            return java
    found = ", ".join(f"Java {java.major} in {java.home}" for java in candidates) or "no Java at all"
    raise TerminalError(f"{wanted}; found {found}. Install one, or point JAVA_HOME at one")


def _candidate_homes() -> Iterator[Path]:
    given = os.environ.get("JAVA_HOME")
    if given:
        yield Path(given).resolve()
    for home in sorted(Path("/usr/lib/jvm").glob("*")):
        if (home / "bin" / "java").exists():
            yield home.resolve()
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path).resolve().parents[1]


def _major_of(home: Path) -> int | None:
    try:
        answer = subprocess.run(
            [str(home / "bin" / "java"), "-version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(answer.stderr) if answer.returncode == 0 else None
