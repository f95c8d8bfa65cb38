"""The report that an auditor keeps: complete, tied together, nothing in it unescaped or fetched from elsewhere."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from migration import drafts, report
from migration.chunks import Chunk, ChunkState, Counts
from migration.ledger import Ledger, Plan, Step, open_ledger
from migration.ledger_schema import REFUSALS
from migration.overview import SEAM_NOTED
from migration.report import durations, verdict, write_report
from spark_jobs.storage.fingerprints import Fingerprint
from tests.migration_files import keep_plan

NASTY = "<script>alert(1)</script> & \"quoted\" 'single'"
PLAN = Plan("p1", f"history {NASTY}", "v1", f"/export/{NASTY}", "2026-01-01T00:00:00.000000Z")


def chunk(number: int, **changes: object) -> Chunk:
    counts = Counts(10, 2, 1, Fingerprint(7, 1 << number, 10**20 + number))
    name = f"core.orders/f{number}.csv-0"
    given = Chunk("p1", name, "core.orders", f"f{number}.csv", 100, 10**18, "ab", 10, (), "r1", "c1")
    verified = replace(given, state=ChunkState.VERIFIED, counts=counts)
    return replace(verified, **changes)  # type: ignore[arg-type] # names are checked by dataclasses


@pytest.fixture
def ledger(tmp_path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


def filled(ledger: Ledger, *chunks: Chunk) -> None:
    keep_plan(ledger, PLAN, chunks)
    refused = {"plan_id": "p1", "target": "core.orders", "reason": NASTY, "records": 4, "counted_at": PLAN.created_at}
    with ledger.engine.begin() as connection:
        connection.execute(insert(REFUSALS).values(**refused))
    columns = {NASTY: {"nulls": 0, "min": NASTY, "max": "9"}}
    ledger.record_step("p1", "ran copy", {"state": "failed", "seconds": 60.0, "by": NASTY, "said": NASTY})
    ledger.record_step("p1", "ran copy", {"state": "succeeded", "seconds": 5000.5, "by": "li@node", "copied": 1234567})
    ledger.record_step("p1", "verified", {"table": "core.orders", "version": 7, "columns": columns})
    ledger.record_step("p1", "shadowed", {"rows": {NASTY: 3}})
    ledger.record_step("p1", "cut over", {"view": "sales.purchases"})


def written(ledger: Ledger, folder: Path) -> tuple[dict[str, Any], str, list[dict[str, str]]]:
    files = write_report(ledger, PLAN, folder)
    with Path(files["chunk_list"]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return json.loads(Path(files["report"]).read_text()), Path(files["page"]).read_text(), rows


def test_the_three_files_say_the_same(ledger, tmp_path) -> None:
    filled(ledger, chunk(1), chunk(2))
    found, text, rows = written(ledger, tmp_path / "new folder")
    (table,) = found["tables"]
    assert (table["rows"], table["digest_xor"], table["digest_sum"]) == (14, 6, str(2 * 10**20 + 3))
    assert table["target"] == {"read": 20, "good": 14, "quarantined": 4, "duplicate": 2}
    assert table["source"] == {"objects": 2, "bytes": 200, "records": 20}
    assert [(row["chunk_id"], row["good"], row["digest_sum"]) for row in rows] == [
        *(("core.orders/f1.csv-0", "7", str(10**20 + 1)), ("core.orders/f2.csv-0", "7", str(10**20 + 2))),
    ]
    listed = tmp_path / "new folder" / found["chunks"]["file"]
    assert found["chunks"]["sha256"] == hashlib.sha256(listed.read_bytes()).hexdigest()
    for value in (
        table["digest_sum"],
        found["chunks"]["sha256"],
        "1 h 23 min",
        "1,234,567",
        "switched to the new tables",
    ):
        assert value in text
    assert ">Proved<" in text
    assert not list(tmp_path.rglob("*.partial"))


def test_the_seam_stands_in_the_report(ledger, tmp_path) -> None:
    filled(ledger, chunk(1))
    facts = {"topic": "events", "offsets": {"0": 5}, "chunks_before": 0, "noted_at": "2026-01-01T00:00:00Z"}
    ledger.record_step("p1", SEAM_NOTED, facts)
    found, text, _ = written(ledger, tmp_path)
    assert found["seam"] == facts
    assert "<dt>live events</dt><dd>events, partition 0 from 5</dd>" in text


def test_what_readers_of_the_first_format_read_is_still_there(ledger, tmp_path) -> None:
    filled(ledger, chunk(1))
    found, _, _ = written(ledger, tmp_path)
    assert found["format"] == 2
    assert {"plan", "job_version", "source", "tables", "quarantine", "steps"} <= set(found)
    assert {"plan", "job", "created_at", "tables", "last_step"} == set(found["plan"])
    table = {"table", "chunks", "rows", "digest_xor", "digest_sum", "contract_hash", "mapping_version"}
    assert table <= set(found["tables"][0])
    assert found["quarantine"] == [{"target": "core.orders", "reason": NASTY, "rows": 4}]
    assert [step["name"] for step in found["steps"]][:2] == ["ran copy", "ran copy"]


class Tags(HTMLParser):
    """Every tag of a page, and whether each is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_values_are_escaped_and_the_page_needs_nothing_beside_itself(ledger, tmp_path) -> None:
    filled(ledger, chunk(1, chunk_id=NASTY, state=ChunkState.FAILED, message=NASTY, source_object=NASTY))
    _, text, _ = written(ledger, tmp_path)
    assert "alert(1)" in text
    assert NASTY not in text
    page = Tags()
    page.feed(text)
    assert page.open == []
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe", "a", "object"})
    assert not any(name in attributes for _, attributes in page.tags for name in ("src", "href", "onload"))
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import", style)
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_a_report_of_a_plan_that_did_nothing_yet_can_be_written(ledger, tmp_path) -> None:
    keep_plan(ledger, PLAN, [chunk(1, state=ChunkState.PLANNED, counts=None, records=0, bytes=0)])
    found, text, rows = written(ledger, tmp_path)
    assert found["verdict"] == "open"
    assert (rows[0]["good"], rows[0]["state"]) == ("", "planned")
    assert "Not proved yet" in text


@pytest.mark.parametrize(
    ("states", "told", "wanted"),
    [
        pytest.param({"verified": 3}, {}, "proved", id="all verified"),
        pytest.param({"verified": 3, "copied": 1}, {}, "open", id="one not verified"),
        pytest.param({"verified": 3, "failed": 1}, {}, "red", id="one failed"),
        pytest.param({"verified": 3}, {"is_conserved": False}, "red", id="a record without a place"),
        pytest.param({}, {}, "open", id="no chunk"),
        pytest.param({"verified": 3}, {"newest": "verification failed"}, "red", id="red, though no chunk is"),
        pytest.param({"verified": 3}, {"newest": "verifying"}, "open", id="a verification that was killed"),
        pytest.param({"verified": 3}, {"newest": None}, "open", id="never verified"),
        pytest.param({"verified": 3}, {"refused": 1}, "partly", id="an object was refused"),
        pytest.param({"verified": 3, "copied": 1}, {"refused": 1}, "open", id="an object was refused, and one copied"),
    ],
)
def test_only_what_is_verified_whole_is_proved(states, told, wanted) -> None:
    newest = told.get("newest", "verified")
    table = {"states": states, "is_conserved": told.get("is_conserved", True)}
    table["verification"] = newest and {"name": newest, "at": PLAN.created_at}
    assert verdict([table], refused=told.get("refused", 0)) == wanted


def test_a_red_verification_takes_the_proof_of_an_older_one_away(ledger, tmp_path) -> None:
    filled(ledger, chunk(1))
    ledger.record_step("p1", "verifying", {"table": "core.orders"})
    ledger.record_step("p1", "verification failed", {"table": "core.orders", "said": "natural keys stand twice"})
    found, text, _ = written(ledger, tmp_path)
    assert (found["verdict"], found["tables"][0]["verified"]) == ("red", None)
    assert "Not proved: red" in text
    assert "natural keys stand twice" in text
    ledger.record_step("p1", "verified", {"table": "core.orders", "version": 8, "columns": {}})
    assert written(ledger, tmp_path)[0]["verdict"] == "proved"


def test_what_was_not_taken_is_named_beside_the_proof(ledger, tmp_path) -> None:
    filled(ledger, chunk(1))
    drafts.begin(ledger, PLAN.job)
    drafts.leave_out(ledger, PLAN.job, [(f"{NASTY}{n}.csv", "no header") for n in range(1_200)] + [("notes.txt", "")])
    drafts.adopt(ledger, PLAN)
    found, text, _ = written(ledger, tmp_path)
    assert (found["verdict"], found["not_taken"]["refused"], found["not_taken"]["unnamed"]) == ("partly", 1_200, 1)
    assert found["not_taken"]["shown"][0] == {"source_object": f"{NASTY}0.csv", "reason": "no header"}
    assert ">Proved in part<" in text
    assert "1,200 objects of the source that were refused. Not taken: 1 objects that no mapping names." in text
    assert "And 201 further ones." in text
    assert NASTY not in text


def test_a_record_without_a_place_is_seen(ledger, tmp_path) -> None:
    filled(ledger, chunk(1, counts=Counts(10, 2, 0, Fingerprint(7, 1, 1))), chunk(2, records=11))
    found, text, _ = written(ledger, tmp_path)
    assert found["verdict"] == "red"
    assert "records without a place" in text


def test_time_is_summed_by_step() -> None:
    facts = [("succeeded", 10.0), ("failed", 5.5)]
    steps = [Step("ran copy", {"state": state, "seconds": seconds}, "") for state, seconds in facts]
    steps += [Step("verified", {}, ""), Step("ran verify", {"state": "succeeded", "seconds": 1.0}, "")]
    assert durations(steps) == [
        {"verb": "copy", "runs": 2, "succeeded": 1, "seconds": 15.5},
        {"verb": "verify", "runs": 1, "succeeded": 1, "seconds": 1.0},
    ]


def test_chunks_go_through_memory_a_page_at_a_time(tmp_path) -> None:
    tracemalloc.start()
    try:
        listed, totals = report._write_chunks((chunk(1, chunk_id=f"c{n}") for n in range(20_000)), tmp_path / "c.csv")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (listed["rows"], totals["core.orders"].good.rows) == (20_000, 140_000)
    assert peak < 2_000_000
