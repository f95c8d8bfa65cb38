"""The exported files: every real line is there untouched, every planted one stands where the truth says."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest

from services.demo.export import export
from services.demo.export_planting import BROKEN_KINDS, BROKEN_OF_EACH_KIND, OTHER_MONTH_COPIES, SAME_FILE_COPIES
from services.demo.export_source import LIVE_SINCE, SEAM_SINCE, ZONE
from spark_jobs.contracts.events import purchase_event_id
from spark_jobs.contracts.identifiers import refusal
from tests.company_package import HOUSEHOLDS, transactions, write_package

SEED = 7


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    write_package(folder)
    return folder


@pytest.fixture(scope="module")
def exported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("demo")
    export(target, seed=SEED, source=source)
    return target


@pytest.fixture(scope="module")
def expected(exported: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((exported / "truth/expected.json").read_text())
    return content


def file_lines(exported: Path) -> dict[str, list[bytes]]:
    return {path.name: path.read_bytes().split(b"\n")[:-1] for path in (exported / "export/transactions").iterdir()}


def as_exported(row: dict[str, Any]) -> bytes:
    values = dict(row)
    for name in ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"):
        values[name] = f"{row[name]:.2f}"
    return ",".join(str(value) for value in values.values()).encode()


def is_history(row: dict[str, Any]) -> bool:
    moment: datetime = row["transaction_timestamp"]
    return moment < LIVE_SINCE.replace(tzinfo=None)


def is_whole(line: bytes) -> bool:
    """Whether a strict reader takes the line."""
    try:
        fields = next(csv.reader([line.decode()], strict=True))
        datetime.strptime(fields[10], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - UTC, only its form is asked
        money = [Decimal(text) for text in fields[5:9]]
        return len(fields) == 11 and all(fields) and int(fields[4]) >= 0 and min(money) >= 0
    except (ValueError, csv.Error, IndexError, InvalidOperation):
        return False


def test_every_real_line_is_there_once_and_untouched(exported: Path, expected: dict[str, Any]) -> None:
    planted = {(item["file"], item["line"]) for item in expected["transactions"]["planted"]}
    real = Counter(
        line
        for name, lines in file_lines(exported).items()
        for number, line in enumerate(lines, start=1)
        if number > 1 and (name, number) not in planted
    )
    assert real == Counter(as_exported(row) for row in transactions() if is_history(row))


def test_each_file_holds_one_month_of_the_shops_calendar(exported: Path, expected: dict[str, Any]) -> None:
    planted = {(item["file"], item["line"]) for item in expected["transactions"]["planted"]}
    lines = file_lines(exported)
    assert len(lines) == 10
    for name, content in lines.items():
        assert content[0].startswith(b"household_id,store_id,basket_id,")
        real = [line for n, line in enumerate(content, start=1) if n > 1 and (name, n) not in planted]
        moments = [datetime.fromisoformat(f"{line.decode()[-19:]}+00:00") for line in real]
        assert {f"transactions-{moment.astimezone(ZONE):%Y-%m}.csv" for moment in moments} == {name}


def test_planted_lines_stand_where_the_truth_says(exported: Path, expected: dict[str, Any]) -> None:
    lines = file_lines(exported)
    planted = expected["transactions"]["planted"]
    for item in planted:
        content = lines[item["file"]][item["line"] - 1]
        whole = (exported / "export/transactions" / item["file"]).read_bytes()
        assert whole[item["byte"] :].startswith(content + b"\n")
        assert is_whole(content) == (item["place"] == "duplicate"), item
    assert Counter(item["kind"] for item in planted) == {
        **dict.fromkeys(BROKEN_KINDS, BROKEN_OF_EACH_KIND),
        "same file": SAME_FILE_COPIES,
        "other month": OTHER_MONTH_COPIES,
    }


def test_a_duplicate_is_an_exact_copy_of_its_kind(exported: Path, expected: dict[str, Any]) -> None:
    lines = file_lines(exported)
    for item in expected["transactions"]["planted"]:
        if item["place"] == "duplicate":
            content = lines[item["file"]][item["line"] - 1]
            homes = {name for name, others in lines.items() if content in others}
            assert (len(homes) > 1) == (item["kind"] == "other month") or lines[item["file"]].count(content) > 1


def test_the_counts_add_up(exported: Path, expected: dict[str, Any]) -> None:
    found = expected["transactions"]
    assert found["read"] == sum(len(lines) - 1 for lines in file_lines(exported).values())
    assert found["read"] == found["good"] + found["quarantined"] + found["duplicate"]
    source = expected["source"]
    assert found["good"] == source["history"]["lines"]
    assert source["all"]["lines"] == source["history"]["lines"] + source["live"]["lines"] == len(transactions())
    total = sum(Decimal(f"{row['sales_value']:.2f}") for row in transactions())
    assert Decimal(source["all"]["sales_value"]) == total


def test_dimensions_and_members(exported: Path, expected: dict[str, Any]) -> None:
    folder = exported / "export"
    assert expected["rows"] == {
        "products.csv": 900,
        "campaigns.csv": 1,
        "campaign_targets.csv": 2,
        "coupon_redemptions.csv": 1,
        "members.csv": HOUSEHOLDS + 300,
    }
    assert (folder / "coupon_redemptions.csv").read_text().splitlines()[1] == "2,9,1,2017-03-03"
    assert (folder / "products.csv").read_text().splitlines()[1] == '1000000,69,GROCERY,National,"BREAD, FRESH",,'
    with (folder / "members.csv").open(newline="") as file:
        members = {row["member_no"]: row for row in csv.DictReader(file)}
    assert (members["3"]["age"], members["3"]["home_ownership"], members["4"]["age"]) == ("x", "", "")
    assert all(member["registered_at"] for member in members.values())


def live_lines(exported: Path) -> list[bytes]:
    return (exported / "live/events.jsonl").read_bytes().split(b"\n")[:-1]


def parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def test_live_events_are_counted_and_in_time_order(exported: Path, expected: dict[str, Any]) -> None:
    live, lines = expected["live"], live_lines(exported)
    assert len(lines) == live["messages"]
    events = [event for event in map(parsed, lines) if event is not None]
    broken = [event for event in events if str(event["event_id"]).startswith("broken-") or not event["event_id"]]
    good = [event for event in events if event not in broken]
    assert len(lines) - len(good) == sum(live["quarantined"].values())
    assert len(good) == live["purchases"] + live["behaviour"] + live["seam_baskets"] + live["resent"]
    assert len({event["event_id"] for event in good}) == live["distinct_events"] == len(good) - live["resent"]
    seen: dict[str, str] = {}
    for event in good:
        seen.setdefault(event["event_id"], event["occurred_at"])
    assert list(seen.values()) == sorted(seen.values())


def test_live_purchases_are_the_real_ones_and_the_seam_is_history(exported: Path, expected: dict[str, Any]) -> None:
    events = {e["event_id"]: e for e in map(parsed, live_lines(exported)) if e and e.get("name") == "purchase"}
    purchases = [event for event in events.values() if event["identifiers"]]
    border = f"{LIVE_SINCE:%Y-%m-%dT%H:%M}"
    live = [event for event in purchases if event["occurred_at"] >= border]
    seam = [event for event in purchases if event["occurred_at"] < border]
    assert len(seam) == expected["live"]["seam_baskets"] > 0
    assert all(event["occurred_at"] >= f"{SEAM_SINCE:%Y-%m-%dT%H:%M}" for event in seam)
    sent = Counter(
        (event["identifiers"][0]["value"], *properties(event), line["product_id"], line["sales_value"])
        for event in live
        for line in event["properties"]["lines"]
    )
    real = Counter(
        (str(row["household_id"]), str(row["basket_id"]), str(row["store_id"]), str(row["product_id"]), money)
        for row in transactions()
        for money in [f"{row['sales_value']:.2f}"]
        if not is_history(row)
    )
    assert sent == real
    assert all(event["event_id"] == purchase_event_id("grocery", *properties(event)) for event in purchases)


def properties(event: dict[str, Any]) -> tuple[str, str]:
    return event["properties"]["order_id"], event["properties"]["store_id"]


def test_refused_identifiers_are_those_that_a_collector_will_refuse(exported: Path, expected: dict[str, Any]) -> None:
    found: Counter[str] = Counter()
    for event in map(parsed, live_lines(exported)):
        for identifier in (event or {}).get("identifiers", []):
            reason = refusal(identifier["type"], identifier["value"])
            found.update([reason] if reason else [])
    assert found == expected["live"]["refused_identifiers"]


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes_and_replaces_what_was_there(source: Path, exported: Path, tmp_path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "old.csv").write_text("left by an earlier export")
    export(tmp_path, seed=SEED, source=source)
    assert digests(tmp_path) == digests(exported)


def test_a_sample_takes_whole_households(source: Path, tmp_path: Path) -> None:
    expected = export(tmp_path, seed=SEED, sample=0.25, source=source)
    assert expected["source"]["all"]["households"] == 3
    assert expected["source"]["all"]["lines"] == len(transactions()) // 4
    assert expected["company"]["persons"] == {"household": 3, "silent": 75, "visitor": 100}
    assert expected["rows"]["products.csv"] == 900
