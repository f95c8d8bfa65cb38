"""What verbs leave in the ledger and in the report, and which plan they work on; without Spark."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from migration import verbs
from migration.choosing import known_plan
from migration.chunks import Chunk, ChunkState, Counts
from migration.history import VERIFIED
from migration.ledger import Ledger, Plan, open_ledger
from migration.verbs import noted
from migration.work import Work
from spark_jobs.errors import TerminalError
from spark_jobs.settings import Settings
from spark_jobs.storage.fingerprints import Fingerprint
from tests.migration_files import OldSystem, keep_plan, old_system

TABLE = "core.orders"
PLAN = Plan("p1", "history", "v1", "/export", "2026-01-01T00:00:00.000000Z")
NOWHERE = cast("Settings", SimpleNamespace(webhdfs_url=None, source_accounts=()))


@pytest.fixture
def ledger(tmp_path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def work(ledger, monkeypatch) -> Work:
    """A plan of one chunk that is verified already."""
    counts = Counts(7, 0, 0, Fingerprint(7, 1, 1))
    given = Chunk("p1", f"{TABLE}/f-0", TABLE, "f", 1, 0, "", 7, (), "r", "c", state=ChunkState.VERIFIED, counts=counts)
    keep_plan(ledger, PLAN, [given])
    monkeypatch.setattr(verbs, "count_refusals", lambda _work: None)
    mapping = SimpleNamespace(table=SimpleNamespace(name=TABLE))
    return cast("Work", SimpleNamespace(ledger=ledger, plan=PLAN, mappings=(mapping,), run_id="run"))


def ran(work: Work, verb: str, folder: Path) -> dict[str, Any]:
    """The report that a verb leaves."""
    noted(work, verb, NOWHERE, argparse.Namespace(report=str(folder)))
    return reported(folder)


def reported(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "migration-p1.json").read_text())
    return found


def green(work: Work, _mapping: object) -> None:
    work.ledger.record_step("p1", VERIFIED, {"table": TABLE, "version": 3, "columns": {}})


def red(_work: Work, _mapping: object) -> None:
    raise TerminalError(f"{TABLE} does not agree:\n  natural keys stand more than once")


def test_the_report_of_a_verification_says_how_it_ended_and_who_ran_it(work, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(verbs, "verify_table", green)
    assert ran(work, "verify", tmp_path)["verdict"] == "proved"
    monkeypatch.setattr(verbs, "verify_table", red)
    with pytest.raises(TerminalError, match=rf"more than once\nreport: {tmp_path}/migration-p1\.html"):
        ran(work, "verify", tmp_path)
    found = reported(tmp_path)
    assert found["verdict"] == "red"
    assert [step["name"] for step in found["steps"]] == [
        *("verifying", "verified", "ran verify", "verifying", "verification failed", "ran verify"),
    ]
    assert (found["steps"][-1]["state"], "@" in found["steps"][-1]["by"]) == ("failed", True)


def test_a_verification_that_was_killed_proves_nothing(work, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(verbs, "verify_table", green)
    assert ran(work, "verify", tmp_path)["verdict"] == "proved"

    def killed(_work: Work, _mapping: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verbs, "verify_table", killed)
    with pytest.raises(KeyboardInterrupt):
        ran(work, "verify", tmp_path)
    monkeypatch.setattr(verbs, "finish", lambda _work: {})
    assert ran(work, "finish", tmp_path)["verdict"] == "open"


def test_the_report_of_finish_says_who_finished(work, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(verbs, "finish", lambda _work: {"view": "sales.purchases"})
    last = ran(work, "finish", tmp_path)["steps"][-1]
    assert (last["name"], last["state"], "@" in last["by"]) == ("ran finish", "succeeded", True)


@pytest.fixture
def old(tmp_path) -> OldSystem:
    return old_system(tmp_path / "old")


def chosen(ledger: Ledger, old: OldSystem, **given: str) -> Plan:
    args = argparse.Namespace(**{"plan": None, "source": None, **given})
    return known_plan(args, old.job(source=args.source), ledger, NOWHERE)


def test_a_verb_works_on_the_named_plan_or_on_the_one_in_force(ledger, old) -> None:
    with pytest.raises(TerminalError, match="has no plan of job history"):
        chosen(ledger, old)
    later = Plan("p2", "history", "v1", str(old.export), "2026-01-02T00:00:00.000000Z")
    for one in (PLAN, later):
        keep_plan(ledger, one, [])
    assert (chosen(ledger, old), chosen(ledger, old, plan="p1")) == (later, PLAN)
    with pytest.raises(TerminalError, match="has no plan p3"):
        chosen(ledger, old, plan="p3")


def test_a_source_that_is_not_the_plan_s_is_refused(ledger, old) -> None:
    planned = Plan("p1", "history", "v1", str(old.export), PLAN.created_at)
    keep_plan(ledger, planned, [])
    assert chosen(ledger, old, source=f"{old.folder}/../old/export/") == planned
    with pytest.raises(TerminalError, match=f"plan p1 reads {old.export}, --source says {old.folder}; run"):
        chosen(ledger, old, source=str(old.folder))
