"""What one person does on sites and in apps: visits near the real baskets and at other times, logins, carts.

A visit begins anonymous unless the app still knows the person from an earlier login. Purchases are not made here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bench.company.chance import digest, draws, uuid_text
from bench.company.events import Event, Identifier
from bench.company.identification import device_at_kiosk, known_by, login_identifiers, place_of
from bench.company.junk import junk_for
from bench.company.people import Device, Person
from bench.company.places import OFFICIAL_ACCOUNT, PLACES, SINCE, UNTIL

Purchase = tuple[datetime, str]  # moment, one product of the basket

MEAN_VISITS = 5.0
MOST_VISITS = 24
_APART = timedelta(hours=2)  # between the beginnings of two visits of one person
_NEVER_LOGS_IN = 0.1
_AT_KIOSK = 0.35
_EVENT_NAMES = ("page_view", "product_view", "add_to_cart", "search", "coupon_view")
_EVENT_WEIGHTS = (38, 36, 14, 8, 4)
_CHANNELS = ("direct", "search", "wechat", "email", "ad")
_SEARCHES = ("milk", "bread", "bananas", "牛奶", "coffee", "diapers")
_BESTSELLERS = ("1082185", "6534178", "1029743", "995242", "1106523", "981760")


@dataclass(slots=True)
class Life:
    """One person while the visits are made; `known_at` are the places that remember the login."""

    seed: int
    person: Person
    products: tuple[str, ...]
    chance: random.Random
    logs_in: bool
    known_at: set[str] = field(default_factory=set)
    made: int = 0


def events_of(seed: int, person: Person, purchases: Sequence[Purchase]) -> Iterator[Event]:
    """All events of one person between SINCE and UNTIL, purchases left out."""
    chance = draws(seed, "visits", person.number)
    logs_in = person.member_no is not None and chance.random() >= _NEVER_LOGS_IN
    products = tuple(product for _, product in purchases) or _BESTSELLERS
    life = Life(seed, person, products, chance, logs_in)
    for start in _starts(life, purchases):
        yield from _visit(life, _choose(life, start), start)
    if person.member_no is not None and chance.random() < _AT_KIOSK:
        yield from _kiosk(life, _some_moment(chance))


def _starts(life: Life, purchases: Sequence[Purchase]) -> list[datetime]:
    """Beginnings of visits, at least _APART: a good half a few hours before a real basket."""
    chance = life.chance
    mean = MEAN_VISITS + len(purchases) / 8 if life.person.kind != "visitor" else 1.0
    wanted = min(1 + int(chance.expovariate(1 / mean)), MOST_VISITS)
    starts: list[datetime] = []
    for _ in range(wanted):
        if purchases and chance.random() < 0.55:
            start = chance.choice(purchases)[0] - timedelta(seconds=int(600 + chance.expovariate(1 / 28_800)))
        else:
            start = _some_moment(chance)
        if SINCE <= start < UNTIL and all(abs(start - other) >= _APART for other in starts):
            starts.append(start)
    return sorted(starts)


def _some_moment(chance: random.Random) -> datetime:
    """Any day, at an hour at which people in New York are awake (8 to 23 there)."""
    return SINCE + timedelta(days=chance.randrange(61), seconds=int(3600 * (8 + 15 * chance.random())))


def _choose(life: Life, start: datetime) -> Device | str:
    """A device of this day, or one of the WeChat apps by its appid."""
    day = start.toordinal() % 2
    devices = [device for device in life.person.devices if not device.is_shared or device.day_parity == day]
    options: list[Device | str] = [*devices, *devices, *life.person.openids]
    return life.chance.choice(options or list(life.person.devices))


def _visit(life: Life, where: Device | str, start: datetime) -> Iterator[Event]:
    chance = life.chance
    names = chance.choices(_EVENT_NAMES, _EVENT_WEIGHTS, k=1 + min(int(chance.expovariate(1 / 4.2)), 24))
    if where == OFFICIAL_ACCOUNT:
        names = ["message_open", *(["menu_click"] * chance.randrange(2))]
    elif place_of(where) is not PLACES["web"]:
        names[0] = "app_open"
    key = where if isinstance(where, str) else where.value
    is_known = key in life.known_at or where == OFFICIAL_ACCOUNT
    if life.logs_in and not is_known and chance.random() < 0.5:
        names.insert(chance.randrange(len(names) + 1), "login")
        if isinstance(where, Device) and (where.is_shared or chance.random() < 0.1):
            names.append("logout")
    yield from _events(life, where, start, names=names, is_known=is_known)
    # A browser forgets the login with the visit, a shared device must; an app remembers.
    remembers = isinstance(where, str) or (where.scope != "web" and not where.is_shared)
    if "login" in names and "logout" not in names and remembers:
        life.known_at.add(key)


def _kiosk(life: Life, start: datetime) -> Iterator[Event]:
    names = [*(["page_view"] * life.chance.randrange(3)), "login", "coupon_view", "logout"]
    yield from _events(life, device_at_kiosk(), start, names=names, is_known=False)


def _events(
    life: Life, where: Device | str, start: datetime, *, names: Sequence[str], is_known: bool
) -> Iterator[Event]:
    chance, person = life.chance, life.person
    channel = "wechat" if isinstance(where, str) else chance.choice(_CHANNELS)
    visit = digest(life.seed, "visit", person.number, start.isoformat()).hex()[:16]
    session_key = visit if chance.random() < 0.95 else None
    moment = start + timedelta(microseconds=chance.randrange(1_000_000))
    for name in names:
        if moment >= UNTIL:
            return
        is_known = is_known or name == "login"
        own = login_identifiers(person, where, moment, chance) if name == "login" else ()
        life.made += 1
        yield Event(
            event_id=uuid_text(life.seed, "event", person.number, life.made),
            person=person.name,
            name=name,
            occurred_at=moment,
            place=place_of(where),
            identifiers=own or known_by(person, where, moment, is_known=is_known),
            is_authenticated=is_known,
            session_key=session_key,
            channel=channel,
            campaign="winter" if channel in {"email", "ad"} else None,
            properties=_properties(life, name),
            junk=_junk(life, name),
        )
        moment += _pause(chance)


def _pause(chance: random.Random) -> timedelta:
    """Mostly a minute; now and then longer than the idle half hour after which a visit ends."""
    if chance.random() < 0.02:
        return timedelta(seconds=chance.randrange(1_750, 3_600))
    return timedelta(seconds=1 + min(int(chance.expovariate(1 / 60)), 1_200), microseconds=chance.randrange(1_000_000))


def _properties(life: Life, name: str) -> dict[str, object]:
    chance = life.chance
    if name == "product_view":
        return {"product_id": chance.choice(life.products)}
    if name == "add_to_cart":
        return {"product_id": chance.choice(life.products), "quantity": chance.randrange(1, 4)}
    if name == "search":
        return {"query": chance.choice(_SEARCHES)}
    return {"page": chance.choice(("/", "/offers", "/recipes", "/stores"))} if name == "page_view" else {}


def _junk(life: Life, name: str) -> tuple[Identifier, ...]:
    return junk_for(name, life.chance.random())
