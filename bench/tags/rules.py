"""Catalogues of any size: uniform rules, as PERFORMANCE has them, and rules of the kinds of the shipped catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from bench.tags.rows import CHANNELS, NAMES, STORES
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.reading import HEAD_FILE, read_catalogue

HEAD = {"workspace": "bench", "attributes": [], "history": {}}
# Uniform rules: each store with each of these thresholds, in whole money.
THRESHOLDS = tuple(range(5, 105, 10))
LEAST = 100
WINDOWS = ("7 days", "30 days", "60 days", "90 days", "180 days", "12 months")

Measures = dict[str, object]


def uniform(count: int) -> Iterator[tuple[str, int]]:
    """Store and threshold of each rule: the sum of orders there that are worth more is at least LEAST."""
    for number in range(count):
        yield STORES[number % len(STORES)], THRESHOLDS[number // len(STORES) % len(THRESHOLDS)]


def write_uniform(folder: Path, count: int) -> Catalogue:
    """The catalogue of so many uniform rules."""
    tags = []
    for number, (store, above) in enumerate(uniform(count)):
        where = {"store_id": store, "net_value": {"above": above}}
        tags.append(_flag(number, {"sum": "purchases.net_value", "where": where}, at_least=LEAST))
    return _written(folder, tags)


def write_mixed(folder: Path, count: int) -> Catalogue:
    """So many rules of ten kinds, `never`, recency and sequence among them; no two look at the same rows."""
    return _written(folder, [_mixed(number) for number in range(count)])


def _mixed(number: int) -> dict[str, object]:
    turn = number // 10
    store, name, channel = (names[(turn + shift) % len(names)] for shift, names in enumerate((STORES, NAMES, CHANNELS)))
    window = WINDOWS[turn % len(WINDOWS)]
    at_store, seen = {"store_id": store}, {"name": name, "channel": channel}
    kinds: tuple[tuple[Measures, dict[str, object]], ...] = (
        ({"count": "purchases", "where": at_store, "window": window}, {"at_least": 2}),
        ({"sum": "purchases.net_value", "where": at_store, "window": window}, {"at_least": 50 + turn}),
        ({"last": "purchases", "where": at_store}, {"older_than": f"{30 + turn} days"}),
        ({"count": "events", "where": seen}, {"at_most": 0}),  # never
        ({"recency": "events", "where": seen, "window": "180 days"}, {"at_most": 10 + turn}),
        ({"first": "purchases", "where": at_store}, {"within": f"{60 + turn} days"}),
        ({"days": "events", "where": {"name": name}, "window": f"{20 + turn} days"}, {"at_least": 2}),
        (_sequence(turn), {"present": True}),
        ({"preference": "purchases.store_id", "by": "net_value", "window": f"{90 + turn} days"}, {"equals": store}),
        ({"sum": "purchases.net_value", "where": {"net_value": {"above": 5 * turn}}, "window": window}, {"above": 150}),
    )
    measure, when = kinds[number % 10]
    return _flag(number, measure, **when)


def _sequence(turn: int) -> Measures:
    first = {"source": "events", "where": {"name": "add_to_cart", "channel": CHANNELS[turn % len(CHANNELS)]}}
    other = {"source": "events", "where": {"name": "purchase"}}
    return {"sequence": {"first": first, "without": other, "within": f"{12 + turn} hours"}, "window": "30 days"}


def _flag(number: int, measure: Measures, **when: object) -> dict[str, object]:
    return {
        "tag": f"rule_{number}",
        "title": {"en": f"Rule {number}", "zh": f"规则{number}"},
        "folder": "bench",
        "owner": "bench",
        "class": "none",
        "among": "members",
        "missing": {"answer": "otherwise", "because": "The peers know no unknown."},
        "measures": {"x": measure},
        "levels": [{"value": "true", "when": {"x": when}}],
        "otherwise": "false",
    }


def _written(folder: Path, tags: list[dict[str, object]]) -> Catalogue:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HEAD_FILE).write_text(yaml.safe_dump(HEAD), encoding="utf-8")
    for tag in tags:
        (folder / f"{tag['tag']}.yaml").write_text(yaml.safe_dump(tag, allow_unicode=True), encoding="utf-8")
    return read_catalogue(folder)
