"""The figures of the score: pairs by cluster sizes against counting them one by one, and attribution by hand."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.company import truth
from bench.company.attribution import attribution, residents
from bench.company.map_files import read_map
from bench.company.scoring import pair_quality, score
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser


def quality_by_counting(cells: list[tuple[int, int]]) -> tuple[int, int, int]:
    pairs = list(itertools.combinations(cells, 2))
    true = sum(a[0] == b[0] for a, b in pairs)
    predicted = sum(a[1] == b[1] for a, b in pairs)
    return sum(a == b for a, b in pairs), true, predicted


@pytest.mark.parametrize("seed", range(40))
def test_pairs_by_cluster_sizes_are_the_pairs_counted_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    items, clusters = chance.randrange(60), 1 + chance.randrange(12)
    cells = [(chance.randrange(clusters), chance.randrange(clusters)) for _ in range(items)]
    right, true, predicted = quality_by_counting(cells)
    found = pair_quality(cells)
    assert (found["pairs_right"], found["pairs_true"], found["pairs_predicted"]) == (right, true, predicted)
    assert found["precision"] == (round(right / predicted, 6) if predicted else None)
    assert found["recall"] == (round(right / true, 6) if true else None)


@pytest.mark.parametrize(
    ("cells", "precision", "recall"),
    [
        pytest.param([(1, 7), (1, 7), (2, 8)], 1.0, 1.0, id="as it is"),
        pytest.param([(1, 7), (1, 8), (2, 9)], None, 0.0, id="nobody joined"),
        pytest.param([(1, 7), (1, 7), (2, 7)], 0.333333, 1.0, id="everybody joined"),
        pytest.param([], None, None, id="nothing"),
    ],
)
def test_precision_and_recall(cells, precision, recall) -> None:
    found = pair_quality(cells)
    assert (found["precision"], found["recall"]) == (precision, recall)


def item(kind: str, person: str, predicted: str | None) -> tuple[tuple[str, str, bytes], str, str | None]:
    return (kind, "", b""), person, predicted


@pytest.mark.parametrize(
    ("predicted", "verdict"),
    [
        pytest.param("A", "right", id="the person who did it"),
        pytest.param("B", "wrong", id="somebody else"),
        pytest.param("device-alone", "anonymous", id="a person of whom nothing else is known"),
        pytest.param(None, "anonymous", id="nobody"),
    ],
)
def test_attribution_of_one_event(predicted, verdict) -> None:
    resident_of = residents(
        [item("member_no", "1", "A"), item("device", "1", "device-alone"), item("member_no", "2", "B")]
    )
    events = [{"event_id": "e", "person": "1", "stage": "before_login"}]
    found = attribution(events, {"e": predicted}, resident_of)["before_login"]
    assert {name for name in ("right", "wrong", "anonymous") if found[name]} == {verdict}


def test_two_persons_merged_are_not_both_right() -> None:
    resident_of = residents([item("member_no", "1", "A"), item("phone", "1", "A"), item("member_no", "2", "A")])
    events = [{"event_id": f"e{person}", "person": person, "stage": "shared"} for person in ("1", "2")]
    found = attribution(events, {"e1": "A", "e2": "A"}, resident_of)["shared"]
    assert (found["right"], found["wrong"]) == (1, 1)


IDENTIFIERS = [
    # type, scope, value, person, owners, evidence group
    ("member_no", "grocery", "1", "1", 1, 0),
    ("phone", "", "+8616312345678", "1", 1, 0),
    ("device", "web", "never-logged-in", "1", 1, 1),
    ("member_no", "grocery", "2", "2", 1, 2),
    ("login", "shop", "u2", "2", 1, 2),
    ("device", "web", "the-kiosk", "1", 2, 3),
    ("device", "web", "the-kiosk", "2", 2, 4),
]


@pytest.fixture
def truth_dir(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("truth")
    names = ("type", "scope", "value", "person", "owners", "evidence_group")
    rows = [dict(zip(names, row, strict=True)) for row in IDENTIFIERS]
    pq.write_table(pa.Table.from_pylist(rows), folder / truth.IDENTIFIERS_FILE)
    events = [{"event_id": "e1", "person": "1", "name": "page_view", "stage": "before_login"}]
    pq.write_table(pa.Table.from_pylist(events), folder / truth.EVENTS_FILE)
    return folder


def map_rows(key_file: Path, person_of: dict[str, str]) -> list[dict[str, object]]:
    tokeniser = Tokeniser(load_root_keys(key_file))
    known = {row[:3] for row in IDENTIFIERS if row[2] in person_of}
    return [
        {
            "type": kind,
            "scope": scope,
            "token": tokeniser.token(kind, scope, value),
            "person_id": person_of[value],
            "valid_from": datetime(2017, 1, 1, tzinfo=UTC),
            "valid_to": None,
        }
        for kind, scope, value in sorted(known)
    ]


def test_score_of_a_good_map(truth_dir: Path, key_file: Path, tmp_path: Path) -> None:
    pq.write_table(
        pa.Table.from_pylist(map_rows(key_file, {"1": "A", "+8616312345678": "A", "2": "B", "u2": "B"})),
        tmp_path / "map.parquet",
    )
    pq.write_table(pa.Table.from_pylist([{"event_id": "e1", "person_id": "A"}]), tmp_path / "events.parquet")
    found = score(truth_dir, tmp_path / "map.parquet", key_file=key_file, events=tmp_path / "events.parquet")
    identifiers, shared = found["identifiers"], found["shared_identifiers"]
    assert isinstance(identifiers, dict)
    # Two pairs of 1 + 3 true ones: nothing ever showed whose the third device is.
    assert (identifiers["precision"], identifiers["recall"]) == (1.0, 0.5)
    assert identifiers["recall_of_provable"] == 1.0
    assert shared == {"total": 1, "mapped_to_one_person": 0, "mapped_to_several": 0, "not_mapped": 1}
    assert found["persons"] == {
        "true": 2,
        "predicted": 2,
        "true_in_several_predicted": 0,
        "predicted_with_several_true": 0,
    }
    assert isinstance(found["events"], dict)
    assert found["events"]["before_login"]["share_right"] == 1.0


def test_score_of_a_map_that_merges_two(truth_dir: Path, key_file: Path, tmp_path: Path) -> None:
    pq.write_table(
        pa.Table.from_pylist(map_rows(key_file, dict.fromkeys(("1", "2", "u2", "the-kiosk"), "A"))),
        tmp_path / "map.parquet",
    )
    found = score(truth_dir, tmp_path / "map.parquet", key_file=key_file)
    assert isinstance(found["identifiers"], dict)
    assert found["identifiers"]["precision"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["persons"]["predicted_with_several_true"] == 1  # type: ignore[index] # a dict, as above
    assert found["shared_identifiers"]["mapped_to_one_person"] == 1  # type: ignore[index] # a dict, as above


def test_a_map_in_json_has_hex_tokens_and_the_open_span_counts(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    token = "00112233445566778899aabbccddeeff"
    path.write_text(
        f'[{{"type": "device", "scope": "web", "token": "{token}", "person_id": "B", "valid_from": "2017-02-01",'
        f'"valid_to": null}}, {{"type": "device", "scope": "web", "token": "{token}", "person_id": "A",'
        '"valid_from": "2017-01-01", "valid_to": "2017-02-01"}]'
    )
    row = read_map(path)["device", "web", bytes.fromhex(token)]
    assert (row.person_id, row.slices) == ("B", 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", "wanted Parquet, or JSON", id="cut off"),
        pytest.param('[{"type": "device"}]', "wanted rows with type, scope, token, person_id", id="no token"),
        pytest.param(
            '[{"type": "device", "scope": "", "token": "x", "person_id": "A"}]', "neither binary nor hex", id="no hex"
        ),
    ],
)
def test_a_broken_map_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(content)
    with pytest.raises(TerminalError, match=message):
        read_map(path)
