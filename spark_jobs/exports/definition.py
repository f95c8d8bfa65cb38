"""What is exported, to whom and why: a YAML file, checked whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES
from spark_jobs.documents import parsed
from spark_jobs.errors import TerminalError
from spark_jobs.findings import Findings, Keys, shown

FORMATS = ("csv", "jsonl", "orc", "parquet")
CLASSES = ("finance", "health", "minors")
MOST_DAYS = 400
_KEYS: Keys = {
    "export": True,
    "receiver": True,
    "purpose": True,
    "workspace": True,
    "columns": True,
    "format": True,
    "keep_days": True,
    "audience": False,
    "only": False,
    "identifiers": False,
    "classes": False,
}
_CONDITION_KEYS: Keys = {"tag": True, "is": False, "is_not": False}
_NAME = "abcdefghijklmnopqrstuvwxyz0123456789_"


@dataclass(frozen=True, slots=True)
class Condition:
    """A tag whose value is one of `values`, or with `is_not` none of them."""

    tag: str
    values: tuple[str, ...]
    is_not: bool


@dataclass(frozen=True, slots=True)
class Export:
    """One export. `columns` are tags, `only` must all hold, `classes` are the sensitive ones that it may have.

    `audience`: whose members alone are exported; '' for everybody.
    """

    name: str
    receiver: str
    purpose: str
    workspace: str
    columns: tuple[str, ...]
    only: tuple[Condition, ...]
    identifiers: tuple[str, ...]
    classes: tuple[str, ...]
    format: str
    keep_days: int
    audience: str = ""

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags that it goes by."""
        return tuple(dict.fromkeys((*self.columns, *(condition.tag for condition in self.only))))

    @property
    def digest(self) -> str:
        """The hash of the whole definition."""
        # What everybody is exported by keeps the hash that it had before there were audiences.
        facts = {name: fact for name, fact in asdict(self).items() if name != "audience" or fact}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def read_export(path: Path) -> Export:
    """The export that a file defines; TerminalError lists all problems of it."""
    findings = Findings(path.name)
    raw = parsed(path, findings.problems)
    export = _read(raw, findings) if not findings.problems else None
    if export is None or findings.problems:
        lines = "\n  ".join(findings.problems)
        raise TerminalError(f"export {path}: {len(findings.problems)} problems, nothing was exported:\n  {lines}")
    return export


def _read(raw: object, findings: Findings) -> Export | None:
    given = findings.mapping(raw, "", _KEYS)
    if not given:
        return None
    return Export(
        name=_name(given.get("export"), "export", findings),
        receiver=_name(given.get("receiver"), "receiver", findings),
        purpose=findings.text(given.get("purpose"), "purpose"),
        workspace=_name(given.get("workspace"), "workspace", findings),
        columns=_names(given.get("columns"), "columns", findings),
        only=_conditions(given.get("only", []), findings),
        identifiers=_choices(given.get("identifiers", []), "identifiers", tuple(IDENTIFIER_TYPES), findings),
        classes=_choices(given.get("classes", []), "classes", CLASSES, findings),
        format=findings.choice(given.get("format"), "format", FORMATS, what="format") or FORMATS[0],
        keep_days=_days(given.get("keep_days"), findings),
        audience=_name(given["audience"], "audience", findings) if "audience" in given else "",
    )


def _name(raw: object, where: str, findings: Findings) -> str:
    text = findings.text(raw, where)
    if text and (set(text) - set(_NAME) or len(text) > 64):
        findings.add(where, f"found {shown(raw)}, wanted at most 64 letters a-z, digits and _")
    return text


def _list(raw: object, where: str, findings: Findings) -> Sequence[object]:
    if isinstance(raw, list):
        if len(raw) == len({str(one) for one in raw}):
            return raw
        findings.add(where, "something stands twice")
    elif raw is not None:
        findings.add(where, f"found {shown(raw)}, wanted a list")
    return ()


def _names(raw: object, where: str, findings: Findings) -> tuple[str, ...]:
    names = tuple(_name(one, f"{where}.{place}", findings) for place, one in enumerate(_list(raw, where, findings)))
    if raw == []:
        findings.add(where, "found nothing, wanted one tag at least")
    return names


def _choices(raw: object, where: str, choices: tuple[str, ...], findings: Findings) -> tuple[str, ...]:
    found = (
        findings.choice(one, f"{where}.{place}", choices, what=where)
        for place, one in enumerate(_list(raw, where, findings))
    )
    return tuple(one for one in found if one)


def _conditions(raw: object, findings: Findings) -> tuple[Condition, ...]:
    found = []
    for place, one in enumerate(_list(raw, "only", findings)):
        where = f"only.{place}"
        given = findings.mapping(one, where, _CONDITION_KEYS)
        if not given:
            continue
        if ("is" in given) == ("is_not" in given):
            findings.add(where, "wanted one of `is` and `is_not`")
            continue
        key = "is" if "is" in given else "is_not"
        values = tuple(
            findings.text(value, f"{where}.{key}.{number}", is_needed=True)
            for number, value in enumerate(_list(given[key], f"{where}.{key}", findings))
        )
        if not values:
            findings.add(f"{where}.{key}", "wanted one value at least")
        found.append(Condition(_name(given.get("tag"), f"{where}.tag", findings), values, key == "is_not"))
    return tuple(found)


def _days(raw: object, findings: Findings) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= MOST_DAYS:
        return raw
    if raw is not None:
        findings.add("keep_days", f"found {shown(raw)}, wanted days from 1 to {MOST_DAYS}")
    return 1
