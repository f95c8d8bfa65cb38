"""Persons and what identifies them, each a pure function of the seed, the number and the first purchase."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from bench.company import places
from bench.company.chance import digest, draws, letters, share, uuid_text

Kind = Literal["household", "silent", "visitor"]

FIRST_SILENT = 3001  # real numbers end at 2,500
FIRST_VISITOR = 900_001
COMPLETE_SINCE = datetime(2017, 1, 1, 5, tzinfo=UTC)  # midnight of the workspace
FIRST_REGISTRATION = datetime(2016, 1, 1, tzinfo=UTC)
LAST_REGISTRATION = datetime(2017, 10, 31, tzinfo=UTC)
# Midnight in New York: history is complete from here on, so of whom registered later it is known whether they bought.
HISTORY_BEGINS = datetime(2017, 1, 1, 5, tzinfo=UTC)

# Ranges without an operator when this was written: valid numbers that should ring nowhere. Three digits differ in
# each, and none begins like the constant 13800138000.
_PHONE_RANGES = ("160", "163", "164", "168", "169")
_TENS_OF_MILLIONS = 10**8
_SHARES_WITH_FAMILY = 0.05
_SAME_TEXT_IN_TWO_APPS = 0.03


@dataclass(frozen=True, slots=True)
class Device:
    """`cookies`: the site's cookies of a browser, the later one from `cookie_change_at` on.

    is_shared: another member of the family uses it too; this person does on days whose number has this parity.
    """

    scope: str
    value: str
    cookies: tuple[str, ...] = ()
    cookie_change_at: datetime | None = None
    is_shared: bool = False
    day_parity: int = 0

    def cookie(self, moment: datetime) -> str | None:
        """The cookie that the browser sends at this moment."""
        if not self.cookies:
            return None
        is_changed = self.cookie_change_at is not None and moment >= self.cookie_change_at
        return self.cookies[-1] if is_changed else self.cookies[0]


@dataclass(frozen=True, slots=True)
class Person:
    """One human being; `member_no`, `login` and `registered_at` are None for one who never registered."""

    number: int
    kind: Kind
    member_no: str | None
    registered_at: datetime | None
    phones: tuple[str, ...]
    login: str | None
    devices: tuple[Device, ...]
    unionid: str | None
    openids: dict[str, str]

    @property
    def name(self) -> str:
        """How the truth calls this person: the member number where there is one."""
        return self.member_no or f"visitor-{self.number}"


def member(seed: int, number: int, kind: Kind, *, first_purchase_at: datetime | None) -> Person:
    """A registered person; who never bought has no first purchase."""
    chance = draws(seed, "person", number)
    phones = tuple(phone(seed, number, which) for which in range(2 if chance.random() < 0.15 else 1))
    login = f"u{digest(seed, 'login', number).hex()[:9]}" if chance.random() < 0.95 else None
    openids, unionid = _wechat(seed, number, chance)
    return Person(
        number=number,
        kind=kind,
        member_no=str(number),
        registered_at=_registered_at(chance, first_purchase_at),
        phones=phones,
        login=login,
        devices=_devices(seed, number, chance),
        unionid=unionid,
        openids=openids,
    )


def visitor(seed: int, number: int) -> Person:
    """Somebody who looks and never says who it is: one device."""
    return Person(number, "visitor", None, None, (), None, (_device(seed, number, 0),), None, {})


def phone(seed: int, number: int, which: int) -> str:
    """E.164. No two persons meet: the last eight digits are a permutation of (number, which)."""
    key = int.from_bytes(digest(seed, "phones")[:8])
    # A factor that shares none with 10 makes multiplication modulo 10**8 a permutation.
    factor = (key % _TENS_OF_MILLIONS) // 10 * 10 + 7
    last_eight = (factor * (2 * number + which) + key // _TENS_OF_MILLIONS) % _TENS_OF_MILLIONS
    prefix = _PHONE_RANGES[digest(seed, "range", number, which)[0] % len(_PHONE_RANGES)]
    return f"+86{prefix}{last_eight:08d}"


def openid(seed: int, app: str, number: int) -> str:
    """The OpenID of this person in one app; some have the text that a neighbour has in the other app."""
    if app == places.OFFICIAL_ACCOUNT and share(seed, "same text", number) < _SAME_TEXT_IN_TWO_APPS:
        return openid(seed, places.MINI_PROGRAM, number + 1)
    return "o" + letters(27, seed, "openid", app, number)


def _wechat(seed: int, number: int, chance: random.Random) -> tuple[dict[str, str], str | None]:
    apps = [places.MINI_PROGRAM] if chance.random() < 0.7 else []
    if chance.random() < 0.45:
        apps.append(places.OFFICIAL_ACCOUNT)
    unionid = "o6" + letters(26, seed, "unionid", number) if apps else None
    return {app: openid(seed, app, number) for app in apps}, unionid


def _registered_at(chance: random.Random, first_purchase_at: datetime | None) -> datetime:
    first = first_purchase_at or LAST_REGISTRATION
    if first_purchase_at is not None and chance.random() < 0.006:
        # A boundary case: the first order is older than the registration.
        return min(first + timedelta(seconds=chance.randrange(3600, 30 * 86_400)), LAST_REGISTRATION)
    latest = min(first - timedelta(hours=1), LAST_REGISTRATION)
    # Whoever never bought registered when history was complete already: of others nobody could say "never".
    since = COMPLETE_SINCE if first_purchase_at is None else FIRST_REGISTRATION
    earliest = max(since, latest - timedelta(days=540))
    return earliest + timedelta(seconds=int(chance.random() * (latest - earliest).total_seconds()))


def _devices(seed: int, number: int, chance: random.Random) -> tuple[Device, ...]:
    own = [_device(seed, number, which) for which in range(chance.choices((1, 2, 3), (5, 4, 1))[0])]
    family, parity = divmod(number, 2)
    if share(seed, "family", family) < _SHARES_WITH_FAMILY:
        # The even one's first device is the family's; each uses it on days of their own.
        theirs = _device(seed, number - parity, 0)
        shared = Device(theirs.scope, theirs.value, theirs.cookies, theirs.cookie_change_at, True, parity)
        own = [shared, *own[1:]] if parity == 0 else [*own, shared]
    return tuple(own)


def _device(seed: int, number: int, which: int) -> Device:
    chance = draws(seed, "device", number, which)
    scope = chance.choices(("android", "ios", "web"), (4, 3, 5))[0]
    value = uuid_text(seed, "device id", number, which)
    if scope == "android":
        return Device(scope, digest(seed, "android id", number, which).hex()[:16])
    if scope == "ios":
        return Device(scope, value.upper())
    cookies = tuple(letters(22, seed, "cookie", number, which, n) for n in range(2 if chance.random() < 0.25 else 1))
    seconds = int((places.UNTIL - places.SINCE).total_seconds())
    return Device(scope, value, cookies, places.SINCE + timedelta(seconds=chance.randrange(seconds)))
