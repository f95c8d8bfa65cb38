"""The members file as the old system has it: one row per registered person, phones as people write them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.company.chance import draws, share
from bench.company.events import Identifier
from bench.company.households import ATTRIBUTES
from bench.company.junk import CONSTANT_PHONE
from bench.company.people import Person
from bench.company.places import LOGIN_APP, OPEN_ACCOUNT, WORKSPACE

HEADER = ("member_no", "registered_at", "phone", "login", "unionid", *ATTRIBUTES)
_CONSTANT_PHONE_SHARE = 0.003
_FULL_WIDTH = {ord(str(digit)): 0xFF10 + digit for digit in range(10)}  # what a Chinese keyboard may type
_CHINA_PREFIX = len("+86")

Entry = tuple[Person, Mapping[str, str]]


def has_constant_phone(seed: int, person: Person) -> bool:
    """True where the clerk typed the number that everybody types."""
    return share(seed, "constant phone", person.number) < _CONSTANT_PHONE_SHARE


def identifiers_on_record(seed: int, person: Person) -> tuple[Identifier, ...]:
    """What the members file says of a person, constants left out."""
    found: list[Identifier] = [("member_no", WORKSPACE, person.member_no or "")]
    if not has_constant_phone(seed, person):
        found.append(("phone", "", person.phones[0]))
    if person.login is not None:
        found.append(("login", LOGIN_APP, person.login))
    if person.unionid is not None:
        found.append(("unionid", OPEN_ACCOUNT, person.unionid))
    return tuple(found)


def write_members(path: Path, entries: Iterable[Entry], *, seed: int) -> int:
    """Write the file; how many rows it has. `registered_at` is UTC."""
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for person, attributes in entries:
            writer.writerow(_row(seed, person, attributes))
            rows += 1
    return rows


def _row(seed: int, person: Person, attributes: Mapping[str, str]) -> list[str]:
    assert person.registered_at is not None
    return [
        person.member_no or "",
        person.registered_at.strftime("%Y-%m-%d %H:%M:%S"),
        CONSTANT_PHONE if has_constant_phone(seed, person) else _as_written(seed, person),
        person.login or "",
        person.unionid or "",
        *(attributes.get(name, "") for name in ATTRIBUTES),
    ]


def _as_written(seed: int, person: Person) -> str:
    digits = person.phones[0][_CHINA_PREFIX:]
    spaced = f"{digits[:3]} {digits[3:7]} {digits[7:]}"
    ways = (
        digits,
        f"+86 {spaced}",
        spaced.replace(" ", "-"),
        f"86{digits}",
        f"0086{digits}",
        digits.translate(_FULL_WIDTH),
    )
    return draws(seed, "phone as written", person.number).choices(ways, (10, 4, 2, 1, 1, 1))[0]
