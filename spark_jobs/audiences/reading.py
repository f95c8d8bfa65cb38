"""A folder of YAML files becomes audiences, or one error that lists every problem of every file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import cast

from spark_jobs.audiences.definitions import (
    UNKNOWN,
    AllOf,
    AnyOf,
    Audience,
    Expression,
    IsKnown,
    IsOneOf,
    IsWithin,
    KnownTag,
    LeastOf,
    Member,
    NotOf,
    Settled,
)
from spark_jobs.audiences.dependencies import put_together
from spark_jobs.documents import parsed
from spark_jobs.errors import TerminalError
from spark_jobs.findings import Findings, Keys, shown

SHIPPED = Path(__file__).parent / "catalogue"
SENSITIVITIES = ("none", "health", "minors", "finance")
BOUNDS = ("at_least", "above", "at_most", "below")
FILE_KEYS: Keys = {"audience": True, "title": True, "owner": True, "class": True, "members": True}
TITLE_KEYS: Keys = {"en": True, "zh": True}
# The word that says which kind of expression it is, and the keys of that kind.
FORMS: Mapping[str, Keys] = {
    "tag": {"tag": True, "is": False, "known": False, **dict.fromkeys(BOUNDS, False)},
    "audience": {"audience": True},
    "all": {"all": True},
    "any": {"any": True},
    "of": {"of": True, "at_least": True},
    "not": {"not": True},
    "certain": {"certain": True},
    "possible": {"possible": True},
}
AUDIENCE_NAME = "[a-z][a-z0-9_]{0,63}"
# What `audience count` calls all persons.
EVERYONE = "everyone"
# An alias of YAML may stand in itself; nobody reads what is nested deeper.
MOST_DEPTH = 30


def folder_of(folder: Path | None, workspace: str) -> Path:
    """The folder that was given, else that of the shipped definitions."""
    return folder or SHIPPED / workspace


def read_audiences(folder: Path, tags: Mapping[str, KnownTag]) -> tuple[Audience, ...]:
    """The audiences of a folder, one a file named like it, each behind those that it uses.

    In:  the tags that they may speak of, by name.
    TerminalError lists every problem of every file.
    """
    if not folder.is_dir():
        raise TerminalError(f"found no folder {folder}; wanted one with a YAML file for each audience")
    problems: list[str] = []
    found = []
    for path in sorted(folder.glob("*.yaml")):
        findings = Findings(path.name)
        raw = parsed(path, findings.problems)
        if not findings.problems and (audience := read_audience(raw, findings)) is not None:
            if audience.name != path.stem:
                findings.add("audience", f"found '{audience.name}', wanted the name of the file")
            found.append(audience)
        problems += findings.problems
    if not found and not problems:
        problems.append("no *.yaml; put definitions of audiences there")
    # What is wrong in a file is said before what may only follow from it.
    audiences = put_together(found, tags, problems) if not problems else ()
    if problems:
        lines = "\n  ".join(problems)
        raise TerminalError(f"audiences {folder}: {len(problems)} problems, nothing was computed:\n  {lines}")
    return audiences


def read_audience(raw: object, findings: Findings) -> Audience | None:
    """The audience of one file; None, and problems, where it is none."""
    given = findings.mapping(raw, "", FILE_KEYS)
    if not given:
        return None
    name = findings.text(given.get("audience"), "audience")
    if name and (not re.fullmatch(AUDIENCE_NAME, name) or name == EVERYONE):
        wanted = f"a name of letters a-z, digits and _, a letter first, not longer than 64, and not '{EVERYONE}'"
        findings.add("audience", f"found '{name}', wanted {wanted}")
    title = findings.mapping(given.get("title", {}), "title", TITLE_KEYS)
    members = read_expression(given["members"], "members", findings) if "members" in given else None
    texts = [findings.text(title.get(key), f"title.{key}") for key in TITLE_KEYS]
    owner, classes = findings.text(given.get("owner"), "owner"), _classes(given.get("class"), findings)
    return None if members is None else Audience(name, texts[0], texts[1], owner, classes, members)


def read_expression(raw: object, where: str, findings: Findings, *, depth: int = 0) -> Expression | None:
    """One expression; None, and problems, where it is none."""
    form = next((form for form in FORMS if isinstance(raw, dict) and form in raw), None)
    if form is None or depth > MOST_DEPTH:
        wanted = f"a mapping with one of {', '.join(FORMS)}, nested no deeper than {MOST_DEPTH}"
        findings.add(where, f"found {_short(raw)}, wanted {wanted}")
        return None
    given = findings.mapping(raw, where, FORMS[form])
    match form:
        case "tag":
            return _of_tag(given, where, findings)
        case "audience":
            return Member(findings.text(given["audience"], f"{where}.audience", is_needed=True))
        case "all" | "any" | "of":
            return _of_parts(form, given, where, findings, depth=depth)
        case _:
            part = read_expression(given[form], f"{where}.{form}", findings, depth=depth + 1)
            if part is None:
                return None
            return NotOf(part) if form == "not" else Settled(part, form == "possible")


def _of_parts(form: str, given: dict[str, object], where: str, findings: Findings, *, depth: int) -> Expression | None:
    raw = given[form]
    if not isinstance(raw, list) or not raw:
        findings.add(f"{where}.{form}", f"found {_short(raw)}, wanted a list of expressions, one at least")
        return None
    read = [read_expression(one, f"{where}.{form}.{place}", findings, depth=depth + 1) for place, one in enumerate(raw)]
    parts = tuple(part for part in read if part is not None)
    if form == "of":
        least = given.get("at_least")
        if isinstance(least, int) and not isinstance(least, bool) and 1 <= least <= len(raw):
            return LeastOf(least, parts)
        if "at_least" in given:
            wanted = f"a whole number from 1 to {len(raw)}, as many as there are"
            findings.add(f"{where}.at_least", f"found {shown(least)}, wanted {wanted}")
        return None
    return AllOf(parts) if form == "all" else AnyOf(parts)


def _of_tag(given: dict[str, object], where: str, findings: Findings) -> Expression | None:
    tag = findings.text(given["tag"], f"{where}.tag", is_needed=True)
    asked = [key for key in ("is", "known") if key in given]
    bounds = {key: given[key] for key in BOUNDS if key in given}
    if len(asked) + bool(bounds) != 1:
        findings.add(where, f"wanted one of `is`, `known`, or bounds ({', '.join(BOUNDS)})")
        return None
    if "known" in given:
        return IsKnown(tag, findings.true_or_false(given["known"], f"{where}.known"))
    if bounds:
        limits = tuple((key, findings.decimal(limit, f"{where}.{key}")) for key, limit in bounds.items())
        return IsWithin(tag, _sound(limits, where, findings))
    raw = given["is"]
    values = [
        findings.text(value, f"{where}.is", is_needed=True) for value in (raw if isinstance(raw, list) else [raw])
    ]
    if not values:
        findings.add(f"{where}.is", "found nothing, wanted one value at least")
    if UNKNOWN in values:
        findings.add(f"{where}.is", f"'{UNKNOWN}' is no value to be compared with; say `known: false`")
    if len(set(values)) < len(values):
        findings.add(f"{where}.is", "something stands twice")
    return IsOneOf(tag, tuple(sorted(values)))


def _sound(limits: tuple[tuple[str, Decimal], ...], where: str, findings: Findings) -> tuple[tuple[str, Decimal], ...]:
    """The bounds in order; a problem where no number can meet them."""
    lower = [limit for kind, limit in limits if kind in ("at_least", "above")]
    upper = [limit for kind, limit in limits if kind in ("at_most", "below")]
    are_strict = any(kind in ("above", "below") for kind, _ in limits)
    if lower and upper and (max(lower) > min(upper) or (max(lower) == min(upper) and are_strict)):
        findings.add(where, "no number can meet these bounds")
    return tuple(sorted(limits))


def _classes(raw: object, findings: Findings) -> tuple[str, ...]:
    given = raw if isinstance(raw, list) else [raw]
    found = [findings.choice(one, "class", SENSITIVITIES, what="class") for one in given]
    return tuple(sorted({cast("str", one) for one in found if one not in (None, "none")}))


def _short(raw: object) -> str:
    """What was found, cut: a whole tree would hide what is wrong with it."""
    return shown(raw)[:80]
