"""Histories of made-up persons, as the first kernel gets them, and catalogues written for one test."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import yaml

from spark_jobs.tagging.aggregation import FrameFeatures
from spark_jobs.tagging.answers import answers_of_all, bucket_kernel
from spark_jobs.tagging.calendar import micros
from spark_jobs.tagging.columns import People
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.frames import frame_of
from spark_jobs.tagging.limits import Limits
from spark_jobs.tagging.moment import Moment, moment_at
from spark_jobs.tagging.plan import CUT, Plan, SourcePlan, compile_plan
from spark_jobs.tagging.ranking import limits_of
from spark_jobs.tagging.reading import HEAD_FILE, read_catalogue
from spark_jobs.tagging.vocabulary import ATTRIBUTE_SOURCE, LOOKUP_NUMBERS, SOURCE_NUMBERS

Row = tuple[int, int, int, list[object], list[int]]  # source, part, moment, texts, numbers

NEW_YORK = ZoneInfo("America/New_York")
COMPLETE_SINCE = date(2017, 1, 1)
HEAD = {"workspace": "grocery", "attributes": ["age", "kids_count"], "history": {}}


def definition(name: str, **changed: object) -> dict[str, object]:
    """A sound definition of a tag with some keys changed; None takes a key away."""
    given: dict[str, object] = {
        "tag": name,
        "title": {"en": name, "zh": "标签"},
        "folder": "tests",
        "owner": "tests",
        "class": "none",
        "among": "members",
        "missing": {"answer": "otherwise", "because": "as the test wants it"},
        "measures": {"orders": {"count": "purchases"}},
        "levels": [{"value": "true", "when": {"orders": {"at_least": 1}}}],
        "otherwise": "false",
        **changed,
    }
    return {key: value for key, value in given.items() if value is not None}


def write_catalogue(folder: Path, *tags: dict[str, object], head: Mapping[str, object] = HEAD) -> Path:
    """The folder with one file per tag."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((HEAD_FILE, head), *((f"{tag['tag']}.yaml", tag) for tag in tags)):
        (folder / name).write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


def catalogue_of(folder: Path, *tags: dict[str, object], head: Mapping[str, object] = HEAD) -> Catalogue:
    return read_catalogue(write_catalogue(folder, *tags, head=head))


def local(text: str, zone: ZoneInfo = NEW_YORK) -> datetime:
    """A moment of the workspace's clocks, as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True)
class Order:
    """`by` says under which identifier it was made: the member number, or a device of the person."""

    at: datetime
    store: str = "1"
    cents: int = 100
    lines: tuple[tuple[str, int], ...] = ()
    status: str = "paid"
    refunded: int = 0
    by: str = "member_no"
    workspace: str = "grocery"


@dataclass(frozen=True)
class Click:
    """`amount` is each number property of the head, in its last decimal; None where the event has none."""

    at: datetime
    name: str = "page_view"
    terminal: str = "pc"
    amount: int | None = None


@dataclass
class Life:
    """One person: when registered (None: never), and what was done and said of them.

    given: kind (imported, manual, score) and name to value, all of them said when the person registered.
    """

    registered_at: datetime | None = None
    orders: list[Order] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    given: dict[tuple[str, str], str | int] = field(default_factory=dict)


def moment(base: datetime, catalogue: Catalogue, zone: ZoneInfo = NEW_YORK) -> Moment:
    return moment_at(base, zone, complete_since=COMPLETE_SINCE, catalogue=catalogue)


def facts(lives: list[Life], plan: Plan, at: Moment) -> pa.Table:
    """What Spark hands to the kernel: one row per person, source, part and texts, before the base time."""
    sums: dict[tuple[object, ...], list[list[int]]] = defaultdict(list)
    for person, life in enumerate(lives):
        for source, part, moment_us, texts, numbers in _rows(person, life, plan, at):
            if moment_us < at.base:
                slots = [*texts, *[None] * (plan.text_slots - len(texts))]
                values = [*numbers, *[0] * (plan.number_slots - len(numbers))]
                sums[person, source, part, *slots].append([moment_us, *values])
    columns = ["person_no", "source", "part", *[f"t{n}" for n in range(plan.text_slots)]]
    rows = [
        {
            **dict(zip(columns, key, strict=True)),
            "person_id": f"p{key[0]}",
            "rows": len(found),
            "first_at": min(row[0] for row in found),
            "last_at": max(row[0] for row in found),
            **{f"x{n}": sum(row[1 + n] for row in found) for n in range(plan.number_slots)},
        }
        for key, found in sorted(sums.items(), key=lambda item: item[0][0])  # type: ignore[arg-type,return-value]
    ]
    return pa.Table.from_pylist(rows, schema=_schema(plan))


def _schema(plan: Plan) -> pa.Schema:
    numbers = ["part", "rows", "first_at", "last_at", *[f"x{n}" for n in range(plan.number_slots)]]
    texts = [("person_id", pa.string()), *[(f"t{n}", pa.string()) for n in range(plan.text_slots)]]
    return pa.schema([("person_no", pa.int64()), ("source", pa.int8()), *[(n, pa.int64()) for n in numbers], *texts])


def _rows(person: int, life: Life, plan: Plan, at: Moment) -> Iterator[Row]:
    used = {source.name: source for source in plan.sources}
    yield from _member_rows(life, plan)
    for number, order in enumerate(life.orders):
        key, when = person * 1_000_000 + number, micros(order.at)
        if source := used.get("purchases"):
            fields = {"store_id": order.store, "weekday": f"{order.at.astimezone(NEW_YORK):%a}".lower()}
            numbers = dict.fromkeys(("quantity", "lines"), 1)
            texts = _slots(source, fields, dict.fromkeys(source.fields, order.cents) | numbers)
            yield SOURCE_NUMBERS["purchases"], key, when, texts, [order.cents for _ in source.numbers]
        if source := used.get("purchase_lines"):
            for line, cents in order.lines:
                texts = _slots(source, dict.fromkeys(source.texts, line), dict.fromkeys(source.fields, cents))
                yield SOURCE_NUMBERS["purchase_lines"], key, when, texts, [cents for _ in source.numbers]
    if source := used.get("events"):
        for click in life.clicks:
            when, fields = micros(click.at), {"name": click.name, "terminal": click.terminal}
            texts = _slots(source, fields, dict.fromkeys(source.fields, click.amount))
            amounts = [click.amount or 0 for _ in source.numbers]
            yield SOURCE_NUMBERS["events"], _part(click, when, source, at), when, texts, amounts


def _member_rows(life: Life, plan: Plan) -> Iterator[Row]:
    if life.registered_at is None:
        return
    registered = micros(life.registered_at)
    yield SOURCE_NUMBERS["members"], registered, registered, [], []
    for name, value in life.attributes.items():
        if name in plan.attributes:
            yield ATTRIBUTE_SOURCE, registered, registered, [name, value], []
    for (kind, name), said in life.given.items():
        number = LOOKUP_NUMBERS[kind]
        if (kind, name) in plan.given:
            yield number, registered, registered, [name, said], []
        elif kind == "score" and name in plan.models:
            yield number, registered, registered, [name], [int(said)]


def _part(click: Click, when: int, source: SourcePlan, at: Moment) -> int:
    kept = {value for s in source.moments for one in s.where if one.field == "name" for value in one.operands}
    if click.name in kept:
        return when
    day = int(at.days(np.array([when]))[0]) * 2 + int(at.dates(np.array([when]))[0]) % 2
    return day + CUT * sum(when >= at.start_of(cut) for cut in source.cuts)


def _slots(source: SourcePlan, texts: Mapping[str, str], numbers: Mapping[str, int | None]) -> list[object]:
    found: list[object] = [texts.get(name) for name in source.texts]
    for bins in source.bins:
        number = numbers[bins.field]
        passed = [(number >= limit) + (number > limit) for limit in bins.limits] if number is not None else []
        found.append(None if number is None else str(sum(passed)))
    return found


def answers(catalogue: Catalogue, lives: list[Life], at: Moment) -> dict[str, dict[int, tuple[str, int]]]:
    """Tag to person to (value, next change in microseconds); persons without any fact are left out."""
    plan = compile_plan(catalogue)
    table = facts(lives, plan, at)
    if not table.num_rows:
        return {tag.name: {} for tag in catalogue.tags}
    frame = frame_of(table, plan, at)
    people = People(at, FrameFeatures(frame), _limits(table, plan, at))
    persons = frame.person_no.tolist()
    found: dict[str, dict[int, tuple[str, int]]] = {}
    for tag, given in answers_of_all(plan, people):
        found[tag.name] = dict(
            zip(persons, zip(given.values.tolist(), given.next_at.tolist(), strict=True), strict=True)
        )
    return found


def _limits(table: pa.Table, plan: Plan, at: Moment) -> Limits:
    counts: dict[int, dict[int, int]] = defaultdict(dict)
    for counted in bucket_kernel(plan, at)(table.to_batches()):
        for row in counted.to_pylist():
            counts[row["ranked"]][row["bucket"]] = row["persons"]
    return {ranked: limits_of(counts[n], ranked.quantile.bands) for n, ranked in enumerate(plan.ranked)}


def random_lives(seed: int, count: int, base: datetime) -> list[Life]:
    """Histories that crowd around the edges of windows: whole days and hours before the base time, give or take."""
    chance = random.Random(seed)
    jitter = (
        timedelta(0),
        timedelta(microseconds=1),
        timedelta(microseconds=-1),
        timedelta(hours=1),
        timedelta(hours=-1),
    )

    def some_moment(days: int) -> datetime:
        whole = base - timedelta(days=chance.randrange(-3, days)) + chance.choice(jitter)
        return whole if chance.random() < 0.5 else whole - timedelta(seconds=chance.randrange(86_400))

    lives = []
    for _ in range(count):
        registered = some_moment(600) if chance.random() < 0.85 else None
        orders = [
            Order(
                some_moment(chance.choice((8, 40, 130))),
                chance.choice("12345"),
                chance.randrange(0, 9_000),
                tuple((chance.choice("ABCD"), chance.randrange(0, 500)) for _ in range(chance.randrange(4))),
            )
            for _ in range(chance.choice((0, 0, 1, 2, 5, 12)))
        ]
        clicks = [
            Click(
                some_moment(9), chance.choice(("page_view", "add_to_cart", "purchase")), chance.choice(("pc", "mobile"))
            )
            for _ in range(chance.choice((0, 1, 3, 9)))
        ]
        ages = {"age": chance.choice(("19-24", "65+"))} if chance.random() < 0.5 else {}
        lives.append(Life(registered, orders, clicks, ages))
    return lives
