"""The head of a catalogue, `_catalogue.yaml`: whose tags they are, and what they may speak of."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

from spark_jobs.findings import Findings, Keys, shown
from spark_jobs.tagging.definitions import Head, Property, Sensitivity
from spark_jobs.tagging.vocabulary import ALWAYS_RECORDED, SOURCES

HEAD_FILE = "_catalogue.yaml"
HEAD_KEYS: Keys = {
    "workspace": True,
    "attributes": True,
    "history": True,
    "imported": False,
    "manual": False,
    "scores": False,
    "properties": False,
}
PROPERTY_KEYS: Keys = {"type": True, "decimals": False, "class": False}
PROPERTY_TYPES = ("text", "number")
MOST_PROPERTY_DECIMALS = 6
NOT_RECORDED = "none"
SENSITIVITIES: tuple[Sensitivity, ...] = ("none", "health", "minors", "finance")
# Names become keys of JSON paths and labels: nothing that would mean something else there.
NAME = "[A-Za-z_][A-Za-z0-9_]{0,63}"

Named = tuple[tuple[str, Sensitivity], ...]


def read_head(raw: object, problems: list[str]) -> Head:
    """The head; an empty one where it has problems."""
    if raw is None:
        return Head()
    findings = Findings(HEAD_FILE)
    given = findings.mapping(raw, "", HEAD_KEYS)
    since, unrecorded = _history(given.get("history"), findings)
    head = Head(
        workspace=findings.text(given.get("workspace"), "workspace"),
        complete_since=since,
        unrecorded=unrecorded,
        attributes=_names(given.get("attributes", []), "attributes", findings),
        imported=_names(given.get("imported", []), "imported", findings),
        manual=_names(given.get("manual", []), "manual", findings),
        scores=_names(given.get("scores", []), "scores", findings),
        properties=_properties(given.get("properties", {}), findings),
    )
    problems += findings.problems
    return head


def _names(raw: object, where: str, findings: Findings) -> Named:
    # A list of names, or a mapping from each name to its class.
    if not isinstance(raw, list | dict):
        findings.add(where, f"found {shown(raw)}, wanted a list of names, or a mapping from names to classes")
        return ()
    names = [findings.text(name, where, is_needed=True) for name in raw]
    for name, times in Counter(names).items():
        if times > 1:
            findings.add(where, f"'{name}' stands twice")
        _check_name(name, where, findings)
    classes = list(raw.values()) if isinstance(raw, dict) else ["none"] * len(names)
    found: list[tuple[str, Sensitivity]] = []
    for name, given in zip(names, classes, strict=True):
        found.append((name, _class(given, f"{where}.{name}", findings)))
    return tuple(sorted(found))


def _class(raw: object, where: str, findings: Findings) -> Sensitivity:
    known = findings.choice(raw, where, SENSITIVITIES, what="class")
    return next((one for one in SENSITIVITIES if one == known), "none")


def _check_name(name: str, where: str, findings: Findings) -> None:
    if name and not re.fullmatch(NAME, name):
        findings.add(where, f"found '{name}', wanted a name of letters a-z, digits and _, not longer than 64")


def _properties(raw: object, findings: Findings) -> tuple[Property, ...]:
    if raw in (None, {}):
        return ()
    found = []
    for name, item in findings.entries(raw, "properties").items():
        where = f"properties.{name}"
        _check_name(name, "properties", findings)
        if name in SOURCES["events"].texts:
            findings.add(where, "events have a field of this name already")
        given = findings.mapping(item, where, PROPERTY_KEYS)
        kind = findings.choice(given.get("type"), f"{where}.type", PROPERTY_TYPES, what="type")
        decimals = _decimals(given, where, findings) if kind == "number" else None
        found.append(Property(name, decimals, _class(given.get("class", "none"), f"{where}.class", findings)))
        if kind == "text" and "decimals" in given:
            findings.add(where, "a text has no decimals")
    return tuple(sorted(found, key=lambda prop: prop.name))


def _decimals(given: dict[str, object], where: str, findings: Findings) -> int:
    raw = given.get("decimals", 0)
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= MOST_PROPERTY_DECIMALS:
        return raw
    findings.add(f"{where}.decimals", f"found {shown(raw)}, wanted a whole number from 0 to {MOST_PROPERTY_DECIMALS}")
    return 0


def _history(raw: object, findings: Findings) -> tuple[tuple[tuple[str, str], ...], frozenset[str]]:
    """Sources whose history begins later than the workspace's, each with its first complete day; those without any."""
    if raw in (None, {}):
        return (), frozenset()
    since, unrecorded = [], set()
    for source, day in findings.entries(raw, "history").items():
        if not findings.choice(source, "history", SOURCES, what="source"):
            continue
        if day == NOT_RECORDED and source not in ALWAYS_RECORDED:
            unrecorded.add(source)
        elif day == NOT_RECORDED:
            findings.add(f"history.{source}", "no tag can do without it, wanted a day such as 2017-01-01")
        elif type(day) is date:
            since.append((source, str(day)))
        else:
            findings.add(f"history.{source}", f"found {shown(day)}, wanted a day such as 2017-01-01, or none")
    return tuple(sorted(since)), frozenset(unrecorded)
