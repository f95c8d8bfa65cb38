"""Answers of the kernels against a slow, obvious oracle on random histories; ageing against answers at later times."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spark_jobs.tagging.calendar import micros, moment_of
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.moment import NEVER
from tests.tag_histories import (
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

BASES = ("2018-01-01T00:00", "2018-03-12T00:00", "2017-11-06T00:00", "2018-06-30T15:45:10")
SEQUENCE: dict[str, object] = {
    "sequence": {
        "first": {"source": "events", "where": {"name": "add_to_cart"}},
        "without": {"source": "events", "where": {"name": "purchase"}},
        "within": "24 hours",
    },
    "window": "7 days",
}
MEASURES: dict[str, dict[str, object]] = {
    "count": {"count": "purchases", "window": "90 days"},
    "ever": {"count": "purchases"},
    "sum": {"sum": "purchases.sales_value", "window": "30 days", "where": {"store_id": ["1", "2"]}},
    "first": {"first": "purchases"},
    "last": {"last": "purchases"},
    "last_a": {"last": "purchase_lines", "where": {"product_line": "A"}},
    "recency": {"recency": "purchases", "window": "60 days"},
    "days": {"days": "events", "window": "7 days", "where": {"terminal": "pc"}},
    "line": {"preference": "purchase_lines.product_line", "by": "sales_value", "window": "120 days"},
    "store": {"preference": "purchases.store_id"},
    "cart": SEQUENCE,
}


def one_level(name: str, **when: object) -> dict[str, object]:
    return definition(
        name,
        measures={name.rpartition("__")[0]: MEASURES[name.rpartition("__")[0]]},
        levels=[{"value": "true", "when": {name.rpartition("__")[0]: when}}],
    )


def tags() -> list[dict[str, object]]:
    flags = [
        one_level("count__some", at_least=2),
        one_level("ever__none", below=1),
        one_level("sum__much", at_least=50),
        one_level("first__new", within="30 days"),
        one_level("last__dormant", older_than="90 days"),
        one_level("last_a__months", within="2 months"),
        one_level("recency__old", above=10),
        one_level("days__some", at_least=2),
        one_level("cart__left", present=True),
    ]
    texts = [
        definition(name, measures={name: MEASURES[name]}, levels=None, value=name, otherwise="none")
        for name in ("line", "store")
    ]
    return [*flags, *texts]


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return catalogue_of(tmp_path, *tags())


def window_start(base: datetime, days: int) -> datetime:
    wall = base.astimezone(NEW_YORK).replace(tzinfo=None) - timedelta(days=days)
    return wall.replace(tzinfo=NEW_YORK).astimezone(UTC)


def months_before(base: datetime, months: int) -> datetime:
    wall = base.astimezone(NEW_YORK).replace(tzinfo=None)
    month = wall.year * 12 + wall.month - 1 - months
    day = wall.day
    while True:
        try:
            return wall.replace(year=month // 12, month=month % 12 + 1, day=day, tzinfo=NEW_YORK).astimezone(UTC)
        except ValueError:
            day -= 1


def preferred(pairs: list[tuple[str, int, datetime]]) -> str:
    """Most by weight, then met last, then the smaller text."""
    weights: Counter[str] = Counter()
    last: dict[str, datetime] = {}
    for name, weight, at in pairs:
        weights[name] += weight
        last[name] = max(at, last.get(name, at))
    best = sorted(weights, key=lambda name: (-weights[name], -micros(last[name]), name))
    return best[0] if best and weights[best[0]] > 0 else "none"


def oracle(life: Life, base: datetime) -> dict[str, str]:
    """One person's answers, by reading the rules aloud."""
    orders = [order for order in life.orders if order.at < base]
    clicks = [click for click in life.clicks if click.at < base]
    assert life.registered_at is not None
    knows_all = life.registered_at >= datetime(2017, 1, 1, 5, tzinfo=UTC)
    last = max((order.at for order in orders), default=None)
    first = min((order.at for order in orders), default=None)
    last_a = max((o.at for o in orders if any(line == "A" for line, _ in o.lines)), default=None)
    recent = [order for order in orders if order.at >= window_start(base, 60)]

    def days_back(at: datetime) -> int:
        return next(n for n in range(1, 900) if at >= window_start(base, n))

    carts = [
        click.at
        for click in clicks
        if click.name == "add_to_cart"
        and click.at >= window_start(base, 7)
        and click.at + timedelta(hours=24) <= base
        and not any(c.name == "purchase" and click.at <= c.at < click.at + timedelta(hours=24) for c in clicks)
    ]
    visits = {c.at.astimezone(NEW_YORK).date() for c in clicks if c.terminal == "pc" and c.at >= window_start(base, 7)}
    spent = sum(o.cents for o in orders if o.store in "12" and o.at >= window_start(base, 30))
    lines = [(line, cents, o.at) for o in orders if o.at >= window_start(base, 120) for line, cents in o.lines]
    return {
        "count__some": _flag(sum(order.at >= window_start(base, 90) for order in orders) >= 2),
        "ever__none": "false" if orders else _flag(True) if knows_all else "unknown",
        "sum__much": _flag(spent >= 5_000),
        "first__new": _first_is_new(first, base, knows_all=knows_all),
        "last__dormant": _flag(last < window_start(base, 90)) if last else "false" if knows_all else "unknown",
        "last_a__months": _flag(last_a is not None and last_a >= months_before(base, 2)),
        "recency__old": _flag(bool(recent) and days_back(max(order.at for order in recent)) > 10),
        "days__some": _flag(len(visits) >= 2),
        "cart__left": _flag(bool(carts)),
        "line": preferred(lines),
        "store": preferred([(order.store, 1, order.at) for order in orders]),
    }


def _flag(holds: bool) -> str:
    return "true" if holds else "false"


def _first_is_new(first: datetime | None, base: datetime, *, knows_all: bool) -> str:
    if first is None or first < window_start(base, 30):
        return "false"  # an older order that nobody knows would make it even less new
    return "true" if knows_all else "unknown"


@pytest.mark.parametrize("text", BASES)
@pytest.mark.parametrize("seed", range(3))
def test_answers_agree_with_the_oracle(catalogue: Catalogue, text: str, seed: int) -> None:
    base = local(text)
    lives = random_lives(seed, 120, base)
    found = answers(catalogue, lives, moment(base, catalogue))
    for person, life in enumerate(lives):
        if life.registered_at is None or life.registered_at >= base:
            wanted = {name: "none" if name in {"line", "store"} else "false" for name in found}
        else:
            wanted = oracle(life, base)
        got = {name: found[name][person][0] for name in found if person in found[name]}
        assert got == {name: wanted[name] for name in got}, f"person {person}: {life}"


@pytest.mark.parametrize("seed", range(3))
def test_no_answer_changes_before_it_is_said_to(catalogue: Catalogue, seed: int) -> None:
    base, chance = local("2018-01-01T00:00"), random.Random(seed)
    lives = random_lives(seed + 10, 60, base)
    for life in lives:  # nothing happens any more: only time goes on
        life.orders = [order for order in life.orders if order.at < base]
        life.clicks = [click for click in life.clicks if click.at < base]
    now = answers(catalogue, lives, moment(base, catalogue))
    later = {micros(base) + chance.randrange(100 * 86_400_000_000) for _ in range(12)}
    later |= {
        due - ahead for ages in now.values() for _, due in list(ages.values())[:15] if due != NEVER for ahead in (0, 1)
    }
    for instant in sorted(later)[:120]:
        then = answers(catalogue, lives, moment(moment_of(instant), catalogue))
        for name, ages in now.items():
            for person, (value, due) in ages.items():
                if instant < due and (life := lives[person]).registered_at and life.registered_at < base:
                    assert then[name][person][0] == value, f"{name} of {person} at {moment_of(instant)}: {life}"


def test_four_hundred_quiet_days_flip_dormant_on_the_right_day(tmp_path: Path) -> None:
    dormant = definition(
        "dormant", **{k: v for k, v in one_level("last__dormant", older_than="90 days").items() if k != "tag"}
    )
    found, bought = catalogue_of(tmp_path, dormant), local("2017-06-15T18:20:00.000007")
    life = Life(local("2017-02-01T00:00"), [Order(bought)])
    first = local("2017-06-16T00:00")
    flips = []
    before, due = answers(found, [life], moment(first, found))["dormant"][0]
    for day in range(400):
        base = local((datetime(2017, 6, 16) + timedelta(days=day)).isoformat())  # noqa: DTZ001
        value, _ = answers(found, [life], moment(base, found))["dormant"][0]
        if value != before:
            flips.append(base)
            before = value
    assert flips == [local("2017-09-14T00:00")]
    assert moment_of(due) == local("2017-09-13T18:20:00.000008")


def test_an_attribute_that_is_not_on_record_is_unknown_only_where_the_tag_says_so(tmp_path: Path) -> None:
    level = [{"value": "old", "when": {"age": {"equals": "65+"}}}]
    shared = {"measures": {"age": {"attribute": "age"}}, "levels": level, "otherwise": "other"}
    found = catalogue_of(
        tmp_path,
        definition("open", **shared, missing={"answer": "unknown", "because": "x"}),
        definition("shut", **shared, missing={"answer": "otherwise", "because": "x"}),
    )
    since = local("2017-02-01T00:00")
    lives = [Life(since, attributes={"age": "65+"}), Life(since, attributes={"age": "19-24"}), Life(since)]
    given = answers(found, lives, moment(local("2018-01-01T00:00"), found))
    assert [given["open"][n][0] for n in range(3)] == ["old", "other", "unknown"]
    assert [given["shut"][n][0] for n in range(3)] == ["old", "other", "other"]


def test_batches_never_part_a_person() -> None:
    import pyarrow as pa

    from spark_jobs.tagging.frames import whole_persons

    persons = [1, 1, 2, 2, 2, 2, 2, 2, 3, 4, 4, 5]
    for size in range(1, 13):
        batches = [
            pa.RecordBatch.from_pydict({"person_no": pa.array(persons[n : n + size], pa.int64())})
            for n in range(0, len(persons), size)
        ]
        tables = [table["person_no"].to_pylist() for table in whole_persons([*batches, batches[0].slice(0, 0)])]
        assert [person for table in tables for person in table] == persons
        owners = [person for table in tables for person in set(table)]
        assert len(owners) == len(set(owners)), f"batches of {size}: {tables}"
