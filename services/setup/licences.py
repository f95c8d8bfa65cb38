"""The licence of an artifact, read from its pom or from its parents', as an SPDX expression."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from services.setup.release import Coordinates
from spark_jobs.errors import TerminalError

# First match wins: the more particular names come first.
_SPDX = (
    (r"apache|asl 2|apache-2", "Apache-2.0"),
    (r"classpath|gpl2 w/ cpe|gplv2\+ce|gpl-2.*exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
    (r"edl|eclipse distribution", "BSD-3-Clause"),
    (r"epl|eclipse public", "EPL-2.0"),
    (r"cddl", "CDDL-1.1"),
    (r"bsd.*2|2-clause", "BSD-2-Clause"),
    (r"new bsd|bsd.*3|3-clause|bsd|go license", "BSD-3-Clause"),
    (r"mit|bouncy castle|jquery", "MIT"),
    (r"cc0|public domain", "CC0-1.0"),
    (r"w3c", "W3C"),
    (r"lgpl", "LGPL-2.1-or-later"),
    (r"mpl|mozilla", "MPL-2.0"),
)
# Their poms name no licence, or none that exists; read in their repositories.
_STATED_ELSEWHERE = {
    "io.trino:trino-server": "Apache-2.0",
    "asm:asm": "BSD-3-Clause",
    "javax.servlet.jsp:jsp-api": "CDDL-1.1",
    "javax.xml.stream:stax-api": "CDDL-1.0",
}


def licence_of(coordinates: Coordinates, repository: Path) -> str:
    """SPDX expression of the artifact's licence; TerminalError when no pom tells."""
    stated = _STATED_ELSEWHERE.get(f"{coordinates.group}:{coordinates.artifact}")
    if stated:
        return stated
    pom: Coordinates | None = coordinates
    while pom is not None:
        path = repository / Coordinates(pom.group, pom.artifact, "pom", pom.version).path
        root = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - from a verified local repository
        _strip_namespaces(root)
        names = [(name.text or "").strip() for name in root.findall("./licenses/license/name")]
        if names:
            return " OR ".join(dict.fromkeys(to_spdx(name) for name in names))
        pom = _parent(root)
    raise TerminalError(f"{coordinates}: no pom names its licence; look it up and add it to services/setup/licences.py")


def to_spdx(name: str) -> str:
    """The SPDX identifier for a licence as poms write it."""
    for pattern, spdx in _SPDX:
        if re.search(pattern, name, re.IGNORECASE):
            return spdx
    raise TerminalError(f"licence {name!r} is not known; add it to services/setup/licences.py")


def _strip_namespaces(root: ET.Element) -> None:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]


def _parent(root: ET.Element) -> Coordinates | None:
    parent = root.find("./parent")
    if parent is None:
        return None
    group, artifact, version = (parent.findtext(tag, "").strip() for tag in ("groupId", "artifactId", "version"))
    return Coordinates(group, artifact, "pom", version)
