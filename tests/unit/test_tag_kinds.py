"""Each kind of measure against rules that are read aloud, on random histories."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.check import SHIPPED
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.moment import NEVER
from spark_jobs.tagging.reading import read_catalogue
from tests.tag_histories import (
    HEAD,
    NEW_YORK,
    Life,
    Order,
    answers,
    catalogue_of,
    definition,
    local,
    moment,
    random_lives,
)

BASES = ("2018-01-01T00:00", "2017-11-05T15:45:10", "2018-03-12T01:30")
WIDE = {
    **HEAD,
    "imported": ["tier"],
    "manual": ["care"],
    "scores": ["churn"],
    "properties": {"amount": {"type": "number", "decimals": 2}},
    "history": {"shares": "none"},
}
ADDED = {"source": "events", "where": {"name": "add_to_cart"}}
BOUGHT = {"source": "events", "where": {"name": "purchase"}}

When = dict[str, object]
Oracle = Callable[[Life, datetime], bool]


def before(base: datetime, **span: int) -> datetime:
    """Days on the wall, hours elapsed."""
    if "days" in span:
        wall = base.astimezone(NEW_YORK).replace(tzinfo=None) - timedelta(days=span["days"])
        return wall.replace(tzinfo=NEW_YORK).astimezone(UTC)
    return base - timedelta(hours=span["hours"])


def orders(life: Life, base: datetime, since: datetime | None = None) -> list[Order]:
    return [order for order in life.orders if order.at < base and (since is None or order.at >= since)]


def amounts(life: Life, base: datetime, since: datetime) -> list[int | None]:
    return [click.amount for click in life.clicks if since <= click.at < base]


def dates(life: Life, base: datetime) -> list[int]:
    return sorted({order.at.astimezone(NEW_YORK).toordinal() for order in orders(life, base)})


def days_back(at: datetime, base: datetime) -> int:
    return next(n for n in range(1, 900) if at >= before(base, days=n))


def added_then_bought(life: Life, base: datetime) -> bool:
    clicks = [click for click in life.clicks if click.at < base]
    carts = [c.at for c in clicks if c.name == "add_to_cart" and c.at >= before(base, days=7)]
    return any(any(c.name == "purchase" and at < c.at < at + timedelta(hours=30) for c in clicks) for at in carts)


def bought_again(life: Life, base: datetime) -> bool:
    recent = orders(life, base, before(base, days=60))
    walls = [order.at.astimezone(NEW_YORK).replace(tzinfo=None) for order in recent]
    ends = [(wall + timedelta(days=3)).replace(tzinfo=NEW_YORK).astimezone(UTC) for wall in walls]
    return any(one.at < other.at < end for one, end in zip(recent, ends, strict=True) for other in orders(life, base))


def store_share(life: Life, base: datetime) -> bool:
    cents = Counter[str]()
    for order in orders(life, base, before(base, days=120)):
        cents[order.store] += order.cents
    whole = sum(cents.values())
    return whole > 0 and 5 * (cents["1"] + cents["2"]) >= 2 * whole


# Name to measure, comparison and what it means; all of them among members.
KINDS: dict[str, tuple[dict[str, object], When, Oracle]] = {
    "number_filter": (
        {"count": "purchases", "where": {"sales_value": {"above": 20, "at_most": 60}}, "window": "90 days"},
        {"at_least": 2},
        lambda life, base: sum(2_000 < o.cents <= 6_000 for o in orders(life, base, before(base, days=90))) >= 2,
    ),
    "property_sum": (
        {"sum": "events.amount", "where": {"amount": {"at_least": 3}}, "window": "7 days"},
        {"at_least": 12.5},
        lambda life, base: sum(a for a in amounts(life, base, before(base, days=7)) if a and a >= 300) >= 1_250,
    ),
    "no_property": (
        {"count": "events", "where": {"amount": {"present": False}}, "window": "30 hours"},
        {"at_least": 1},
        lambda life, base: None in amounts(life, base, before(base, hours=30)),
    ),
    "other_stores": (
        {"count": "purchases", "where": {"store_id": {"not_in": ["1", "2", "3"]}}, "window": "60 days"},
        {"at_least": 1},
        lambda life, base: any(o.store in "45" for o in orders(life, base, before(base, days=60))),
    ),
    "hours": (
        {"count": "events", "window": "36 hours"},
        {"at_least": 2},
        lambda life, base: len(amounts(life, base, before(base, hours=36))) >= 2,
    ),
    "then": (
        {"sequence": {"first": ADDED, "then": BOUGHT, "within": "30 hours"}, "window": "7 days"},
        {"present": True},
        added_then_bought,
    ),
    "again": (
        {
            "sequence": {"first": {"source": "purchases"}, "then": {"source": "purchases"}, "within": "3 days"},
            "window": "60 days",
        },
        {"present": True},
        bought_again,
    ),
    "share": (
        {"distribution": "purchases.store_id", "by": "sales_value", "window": "120 days"},
        {"share_of": {"value": ["1", "2"], "at_least": 0.4}},
        store_share,
    ),
    "score": (
        {"score": "churn"},
        {"at_least": 0.5},
        lambda life, base: int(life.given.get(("score", "churn"), 0)) >= 5_000,
    ),
    "care": (
        {"manual": "care"},
        {"equals": "personal"},
        lambda life, base: life.given.get(("manual", "care")) == "personal",
    ),
}


def flag(name: str) -> dict[str, object]:
    measure, when, _ = KINDS[name]
    return definition(name, measures={name: measure}, levels=[{"value": "true", "when": {name: when}}])


def whole(name: str, measure: dict[str, object]) -> dict[str, object]:
    return definition(name, measures={name: measure}, levels=None, value=name, otherwise="none")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Catalogue:
    return catalogue_of(
        tmp_path_factory.mktemp("kinds") / "tags",
        *[flag(name) for name in KINDS],
        whole("span", {"span": "purchases", "window": "365 days"}),
        whole("since", {"since": "purchases", "window": "365 days"}),
        whole("mix", {"distribution": "purchases.store_id", "most": 2}),
        whole("tier", {"imported": "tier"}),
        head=WIDE,
    )


def lives_of(seed: int, base: datetime) -> list[Life]:
    chance = random.Random(seed)
    lives = random_lives(seed, 100, base)
    for life in lives:
        life.clicks = [replace(c, amount=chance.choice((None, 0, 299, 300, 301, 950))) for c in life.clicks]
        life.given = {
            ("score", "churn"): chance.choice((-3, 4_999, 5_000, 9_000)),
            ("imported", "tier"): chance.choice(("gold", "silver")),
            ("manual", "care"): chance.choice(("personal", "none")),
        }
    return lives


def mix(life: Life, base: datetime) -> str:
    counts = Counter(order.store for order in orders(life, base))
    last = {o.store: o.at for o in sorted(orders(life, base), key=lambda order: order.at)}
    best = sorted(counts, key=lambda store: (-counts[store], -last[store].timestamp(), store))[:2]
    shares = {store: counts[store] * 100 // counts.total() / 100 for store in best}
    return ",".join(f"{store}:{share:.2f}" for store, share in shares.items()) or "none"


@pytest.mark.parametrize("text", BASES)
@pytest.mark.parametrize("seed", range(2))
def test_answers_are_what_the_rules_say(catalogue: Catalogue, text: str, seed: int) -> None:
    base = local(text)
    lives = lives_of(seed, base)
    found = answers(catalogue, lives, moment(base, catalogue))
    since = datetime(2017, 1, 1, 5, tzinfo=UTC)
    for person, life in enumerate(lives):
        if person not in found["span"] or life.registered_at is None or not since <= life.registered_at < base:
            continue
        got = {name: found[name][person][0] for name in found}
        wanted = {name: "true" if says(life, base) else "false" for name, (_, _, says) in KINDS.items()}
        days = dates(life, base)
        first = min((order.at for order in orders(life, base)), default=None)
        wanted["span"] = str(days[-1] - days[0]) if days else "none"
        wanted["since"] = str(days_back(first, base)) if first else "none"
        wanted["tier"] = str(life.given["imported", "tier"])
        text_of_mix = got.pop("mix")
        assert got == wanted, f"person {person}: {life}"
        pairs = json.loads(text_of_mix) if text_of_mix != "none" else {}
        assert (",".join(f"{k}:{v:.2f}" for k, v in pairs.items()) or "none") == mix(life, base)


def test_no_answer_of_any_kind_changes_before_it_is_said_to(catalogue: Catalogue) -> None:
    base = local("2018-01-01T00:00")
    lives = lives_of(5, base)[:40]
    for life in lives:  # nothing happens any more: only time goes on
        life.orders, life.clicks = orders(life, base), [click for click in life.clicks if click.at < base]
    now = answers(catalogue, lives, moment(base, catalogue))
    dues = {due - ahead for ages in now.values() for _, due in ages.values() if due != NEVER for ahead in (0, 1)}
    for instant in random.Random(1).sample(sorted(dues), 60):
        then = answers(catalogue, lives, moment(moment_of(instant), catalogue))
        for name, ages in now.items():
            for person, (value, due) in ages.items():
                registered = lives[person].registered_at
                if instant < due and registered is not None and registered < base:
                    assert then[name][person][0] == value, f"{name} of {person} at {moment_of(instant)}"


def test_the_retail_catalogue_answers_everybody_with_what_it_declares() -> None:
    found = read_catalogue(SHIPPED / "retail")
    base = local("2018-01-01T00:00")
    given = answers(found, lives_of(3, base), moment(base, found))
    for tag in found.tags:
        if tag.rule.levels:
            declared = {*(level.value for level in tag.rule.levels), tag.rule.otherwise, "unknown"}
            assert {value for value, _ in given[tag.name].values()} <= declared, tag.name
    both = [(given["silent"][person][0], given["dormant"][person][0]) for person in given["silent"]]
    assert ("true", "true") not in both
    assert {value for value, _ in given["sharer"].values()} == {"unknown", "none"}, "nobody's shares are recorded"
