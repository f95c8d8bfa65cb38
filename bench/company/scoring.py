"""How good an identity map is against the truth: pairs of identifiers, persons, and who anonymous events went to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.company import truth
from bench.company.attribution import attribution, residents
from bench.company.map_files import Key, MapRow, read_map, read_rows
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser


@dataclass(frozen=True, slots=True)
class Owned:
    """One identifier of one owner: its key in the map, the person, and the evidence group."""

    key: Key
    person: str
    owners: int
    evidence_group: int


def score(truth_dir: Path, map_file: Path, *, key_file: Path, events: Path | None = None) -> dict[str, object]:
    """Every figure as one JSON object; shares are None where there is nothing to divide by."""
    owned = read_truth(truth_dir / truth.IDENTIFIERS_FILE, key_file)
    rows = read_map(map_file)
    exclusive = [item for item in owned if item.owners == 1]
    predicted = {item.key: rows[item.key].person_id for item in exclusive if item.key in rows}
    answer: dict[str, object] = {
        "identifiers": _identifiers(exclusive, predicted, set(rows) - {item.key for item in owned}),
        "shared_identifiers": _shared(owned, rows),
        "persons": _persons(exclusive, predicted),
    }
    if events is not None:
        given = {str(row["event_id"]): row["person_id"] for row in read_rows(events, ("event_id", "person_id"))}
        resident_of = residents((item.key, item.person, predicted.get(item.key)) for item in exclusive)
        answer["events"] = attribution(read_table(truth_dir / truth.EVENTS_FILE), given, resident_of)
    return answer


def pair_quality(cells: Iterable[tuple[object, object]]) -> dict[str, float | int | None]:
    """Pairwise precision and recall of items, each given as (true cluster, predicted cluster).

    Pairs are counted by cluster sizes, n * (n - 1) / 2, so that the cost is that of reading the items once.
    """
    both = Counter(cells)
    true: Counter[object] = Counter()
    predicted: Counter[object] = Counter()
    for (true_cluster, predicted_cluster), count in both.items():
        true[true_cluster] += count
        predicted[predicted_cluster] += count
    right, expected, found = (_pairs(counts) for counts in (both, true, predicted))
    return {
        "precision": ratio(right, found),
        "recall": ratio(right, expected),
        "pairs_right": right,
        "pairs_true": expected,
        "pairs_predicted": found,
    }


def ratio(part: int, whole: int) -> float | None:
    """`part / whole` with six decimals; None where the whole is empty."""
    return round(part / whole, 6) if whole else None


def read_truth(path: Path, key_file: Path) -> list[Owned]:
    """The truth's identifiers, tokenised as the platform does it."""
    tokeniser = Tokeniser(load_root_keys(key_file))
    return [
        Owned(
            key=(row["type"], row["scope"], tokeniser.token(row["type"], row["scope"], row["value"])),
            person=row["person"],
            owners=row["owners"],
            evidence_group=row["evidence_group"],
        )
        for row in read_table(path)
    ]


def read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of a truth file; TerminalError where it is missing or broken."""
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except OSError as error:
        raise TerminalError(f"truth {path} cannot be read: {error}; generate the company again") from error
    return rows


def _pairs(counts: Counter[object] | Counter[tuple[object, object]]) -> int:
    return sum(count * (count - 1) // 2 for count in counts.values())


def _identifiers(exclusive: list[Owned], predicted: Mapping[Key, str], unknown: set[Key]) -> dict[str, object]:
    # An identifier that the map does not hold is alone: its own key is its cluster.
    clusters = [(item, predicted.get(item.key, item.key)) for item in exclusive]
    provable = pair_quality((item.evidence_group, cluster) for item, cluster in clusters)
    by_type = Counter(item.key[0] for item in exclusive)
    mapped = Counter(key[0] for key in predicted)
    return {
        **pair_quality((item.person, cluster) for item, cluster in clusters),
        "recall_of_provable": provable["recall"],
        "pairs_provable": provable["pairs_true"],
        "total": len(exclusive),
        "mapped": len(predicted),
        "not_in_truth": len(unknown),
        "by_type": {name: {"total": by_type[name], "mapped": mapped[name]} for name in sorted(by_type)},
    }


def _shared(owned: list[Owned], rows: Mapping[Key, MapRow]) -> dict[str, int]:
    keys = {item.key for item in owned if item.owners > 1}
    slices = Counter(rows[key].slices for key in keys if key in rows)
    return {
        "total": len(keys),
        "mapped_to_one_person": slices[1],
        "mapped_to_several": sum(count for number, count in slices.items() if number > 1),
        "not_mapped": len(keys) - sum(slices.values()),
    }


def _persons(exclusive: list[Owned], predicted: Mapping[Key, str]) -> dict[str, int]:
    of_true: defaultdict[str, set[str]] = defaultdict(set)
    of_predicted: defaultdict[str, set[str]] = defaultdict(set)
    for item in exclusive:
        if item.key in predicted:
            of_true[item.person].add(predicted[item.key])
            of_predicted[predicted[item.key]].add(item.person)
    return {
        "true": len({item.person for item in exclusive}),
        "predicted": len(of_predicted),
        "true_in_several_predicted": sum(len(found) > 1 for found in of_true.values()),
        "predicted_with_several_true": sum(len(found) > 1 for found in of_predicted.values()),
    }
