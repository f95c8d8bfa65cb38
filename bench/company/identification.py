"""Which identifiers an event carries: what the place sees anyway, and what a login adds."""

from __future__ import annotations

import random
from datetime import datetime

from bench.company.events import Identifier
from bench.company.people import Device, Person
from bench.company.places import (
    KIOSK,
    LOGIN_APP,
    MINI_PROGRAM,
    OFFICIAL_ACCOUNT,
    OPEN_ACCOUNT,
    PLACES,
    SITE,
    WORKSPACE,
    Place,
)


def device_at_kiosk() -> Device:
    """The device that everybody uses."""
    return Device("web", KIOSK, is_shared=True)


def place_of(where: Device | str) -> Place:
    """The place behind a device, or behind a WeChat app's appid."""
    if isinstance(where, str):
        return PLACES["mini" if where == MINI_PROGRAM else "official"]
    return PLACES["kiosk" if where.value == KIOSK else where.scope]


def known_by(person: Person, where: Device | str, moment: datetime, *, is_known: bool) -> tuple[Identifier, ...]:
    """What an ordinary event carries, before the login or after it."""
    seen = _seen(person, where, moment)
    if not is_known:
        return seen
    if isinstance(where, str):
        return (*seen, ("unionid", OPEN_ACCOUNT, person.unionid or ""))
    return (_account(person), *seen)


def login_identifiers(
    person: Person, where: Device | str, moment: datetime, chance: random.Random
) -> tuple[Identifier, ...]:
    """What a login shows at once: the place's identifiers, the account, often phone or member number."""
    known = list(known_by(person, where, moment, is_known=True))
    draw = chance.random()
    if isinstance(where, str) or draw < 0.2:
        known.append(("phone", "", chance.choice(person.phones)))
    elif draw < 0.45 or place_of(where) is PLACES["kiosk"]:
        known.append(("member_no", WORKSPACE, person.member_no or ""))
    return tuple(dict.fromkeys(known))


def _seen(person: Person, where: Device | str, moment: datetime) -> tuple[Identifier, ...]:
    if isinstance(where, str):
        app = MINI_PROGRAM if where == MINI_PROGRAM else OFFICIAL_ACCOUNT
        return (("openid", app, person.openids[app]),)
    device: Identifier = ("device", where.scope, where.value)
    cookie = where.cookie(moment)
    return (device,) if cookie is None else (device, ("cookie", SITE, cookie))


def _account(person: Person) -> Identifier:
    if person.login is not None:
        return ("login", LOGIN_APP, person.login)
    return ("phone", "", person.phones[0])
