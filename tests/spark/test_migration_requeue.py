"""Requeue: refused records that a mended mapping takes come in once, whatever is killed, and the proof still holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pyspark.sql import functions as F

from migration import requeueing
from migration.chunks import ChunkState
from migration.copying import copy_all
from migration.healing import heal
from migration.ledger import Plan
from migration.requeueing import Requeued, requeue
from migration.settling import settle
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import create_root_key_file, load_root_keys
from spark_jobs.protection.sealing import unseal
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import fingerprint
from tests.clear_text import clear_values_in
from tests.migration_files import OldSystem, fingerprints, line, old_system, planned

pytestmark = pytest.mark.thorough


def member(basket: int) -> str:
    """A buyer's number that can be looked for in files."""
    return str(13_900_000_000 + basket * 7_919)


def sold(basket: int, *, sales: str = "1.50", quantity: str = "1") -> str:
    """A line that both mappings take."""
    return line(basket, household_id=member(basket), sales_value=sales, quantity=quantity)


def returned(basket: int) -> str:
    """A line that the first mapping refuses and the mended one takes."""
    return sold(basket, sales="-1.00")


BROKEN = (sold(90).replace(",330,", ",\xff,").encode("latin-1"), sold(91, quantity="x").encode())


def two_files(folder: Path) -> OldSystem:
    """File a: 3 good, 2 returned of which one has the key of a later line, 2 broken. File b: 1 good, 1 returned."""
    system = old_system(folder)
    system.put("a", [sold(1), returned(3), BROKEN[0], returned(2), sold(2), BROKEN[1], sold(4)])
    system.put("b", [sold(5), returned(1)])
    return system


@pytest.fixture(scope="module")
def copied_once(spark, tmp_path_factory) -> Path:
    """Old system, key, lake and ledger after copy: made once, copied for each test that begins there."""
    folder: Path = tmp_path_factory.mktemp("copied")
    key_file = folder / "keys" / "root.json"
    create_root_key_file(key_file)
    with planned(two_files(folder / "old"), Lake(spark, str(folder / "lake")), key_file) as ready:
        copy_all(ready)
    return folder


@pytest.fixture
def place(copied_once: Path, tmp_path) -> Path:
    return Path(shutil.copytree(copied_once, tmp_path / "copied"))


@pytest.fixture
def work(place: Path, spark) -> Iterator[Work]:
    with planned(OldSystem(place / "old"), Lake(spark, str(place / "lake")), place / "keys" / "root.json") as ready:
        yield ready


def mended(work: Work) -> Work:
    """The work by a mapping that takes sales below 0; `requeue` begins with a ledger that was healed."""
    mapping = Path(work.plan.source).parent / "order_lines.yaml"
    given = yaml.safe_load(mapping.read_text())
    del given["columns"]["sales_value"]["min"]
    mapping.write_text(yaml.safe_dump(given))
    changed = replace(work, job=OldSystem(mapping.parent).job())
    heal(changed, ORDER_LINES, may_mend=True)
    return changed


def counts(work: Work) -> list[tuple[int, int, int, int]]:
    found = [chunk.counts for chunk in work.ledger.chunks(work.plan.plan_id)]
    assert all(c is not None and c.is_conserved for c in found)
    return [(c.read, c.good.rows, c.quarantined, c.duplicate) for c in found if c]


def kept(work: Work) -> set[tuple[str, int, str, str]]:
    rows = delta.read(work.lake, QUARANTINE_ROWS).collect()
    return {(row.source_object[-5], row.position, row.reason, row.rule_version) for row in rows}


def proved(work: Work) -> None:
    """Settle and verify, and look at the target by ourselves: a good line for every line that the new mapping takes."""
    settle(work.lake, ORDER_LINES, run_id=work.run_id)
    heal(work, ORDER_LINES)
    verify_table(work, work.mappings[0])
    target = delta.read(work.lake, ORDER_LINES)
    for chunk in work.ledger.chunks(work.plan.plan_id):
        assert chunk.state is ChunkState.VERIFIED
        assert fingerprint(target.where(F.col("origin") == chunk.origin), ORDER_LINES) == (
            chunk.counts and chunk.counts.good
        )
    rows = {(row.order_id, str(row.sales_value), row.origin[-19:-17], row.origin_position) for row in target.collect()}
    assert {(order, sales, line) for order, sales, _, line in rows} == {
        *(("1", "1.50", 2), ("3", "-1.00", 3), ("2", "-1.00", 5), ("4", "1.50", 8), ("5", "1.50", 2)),
    }


def test_records_that_the_mended_mapping_takes_come_in_and_the_proof_holds(work) -> None:
    assert counts(work) == [(7, 3, 4, 0), (2, 1, 1, 0)]
    new = mended(work)
    assert requeue(new, reason="returns are sales below 0") == Requeued(good=3, refused=2, is_complete=True)
    assert counts(new) == [(7, 5, 2, 0), (2, 2, 0, 0)]
    version = new.mappings[0].version
    assert kept(new) == {("a", 4, "not valid UTF-8", version), ("a", 7, "quantity: not a bigint", version)}
    keys = load_root_keys(new.key_file)
    rows = delta.read(new.lake, QUARANTINE_ROWS).collect()
    assert {unseal(row.sealed, keys, kid=row.kid) for row in rows} == set(BROKEN)
    proved(new)
    assert counts(new) == [(7, 4, 2, 1), (2, 1, 0, 1)]
    before = delta.current_version(new.lake, ORDER_LINES), delta.current_version(new.lake, QUARANTINE_ROWS)
    assert requeue(new) == Requeued(good=0, refused=0, is_complete=True)
    assert (delta.current_version(new.lake, ORDER_LINES), delta.current_version(new.lake, QUARANTINE_ROWS)) == before


def test_the_plan_goes_on_by_the_mended_mapping_and_a_new_ledger_knows_it(work, place) -> None:
    new = mended(work)
    with pytest.raises(TerminalError, match="run `migration requeue`"):
        heal(new, ORDER_LINES)
    requeue(new)
    assert heal(new, ORDER_LINES) == 0
    plan = new.ledger.plan(new.plan.plan_id)
    assert plan is not None
    assert plan.job_version == new.job.version
    assert {chunk.rule_version for chunk in new.ledger.chunks(plan.plan_id)} == {new.mappings[0].version}
    wanted = fingerprints(new.ledger, plan.plan_id)
    with planned(OldSystem(place / "old"), new.lake, new.key_file, ledger=place / "new.sqlite") as lost:
        heal(lost, ORDER_LINES)
        assert fingerprints(lost.ledger, lost.plan.plan_id) == wanted
        proved(lost)


def kill_at(monkeypatch: pytest.MonkeyPatch, name: str, *, call: int) -> None:
    """Let the process die in the `call`-th call of a function, before it does anything."""
    real, calls = getattr(requeueing, name), []

    def dying(*args: object, **kwargs: object) -> object:
        calls.append(name)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(requeueing, name, dying)


@pytest.mark.parametrize(
    ("moment", "between"),
    [
        pytest.param(("_transaction", 1), [(7, 3, 4, 0), (2, 1, 1, 0)], id="before the first commit"),
        pytest.param(("_transaction", 2), [(7, 5, 2, 0), (2, 1, 1, 0)], id="between two chunks"),
        pytest.param(("renew_quarantine", 1), [(7, 5, 2, 0), (2, 2, 0, 0)], id="between target and quarantine"),
        pytest.param(("_adopt", 1), [(7, 5, 2, 0), (2, 2, 0, 0)], id="before the plan has the new mapping"),
    ],
)
def test_a_killed_requeue_loses_and_doubles_nothing(work, monkeypatch, moment, between) -> None:
    new = mended(work)
    kill_at(monkeypatch, moment[0], call=moment[1])
    with pytest.raises(KeyboardInterrupt):
        requeue(new)
    monkeypatch.undo()
    heal(new, ORDER_LINES, may_mend=True)
    assert counts(new) == between  # each record counted once
    rows = delta.read(new.lake, ORDER_LINES).select("origin", "origin_position")
    sealed = delta.read(new.lake, QUARANTINE_ROWS).select("origin", "position")
    assert rows.union(sealed).distinct().count() == 9  # and each still there
    requeue(new)
    assert counts(new) == [(7, 5, 2, 0), (2, 2, 0, 0)]
    assert len(kept(new)) == 2
    proved(new)


def test_one_chunk_alone_leaves_the_plan_with_its_mapping_until_the_rest_follows(work) -> None:
    new = mended(work)
    names = [chunk.chunk_id for chunk in new.ledger.chunks(new.plan.plan_id)]
    assert requeue(new, chunk_id=names[1]) == Requeued(good=1, refused=0, is_complete=False)
    assert counts(new) == [(7, 3, 4, 0), (2, 2, 0, 0)]
    plan: Plan | None = new.ledger.plan(new.plan.plan_id)
    assert plan is not None
    assert plan.job_version == new.plan.job_version
    assert requeue(new) == Requeued(good=2, refused=2, is_complete=True)
    proved(new)


def test_a_mapping_that_changes_good_rows_turns_verification_red(work) -> None:
    mapping = Path(work.plan.source).parent / "order_lines.yaml"
    mapping.write_text(mapping.read_text().replace("value: grocery", "value: another"))
    new = mended(work)
    assert requeue(new).is_complete
    settle(new.lake, ORDER_LINES, run_id=new.run_id)
    heal(new, ORDER_LINES)
    with pytest.raises(TerminalError, match="position 8: changed in the target"):
        verify_table(new, new.mappings[0])


def test_nothing_clear_is_written_while_records_come_back(work, place, spark_settings) -> None:
    new = mended(work)
    requeue(new)
    clear = {member(basket).encode() for basket in (1, 2, 3, 90, 91)}
    assert clear_values_in(place / "old" / "export", clear)  # the scan finds what is there to be found
    for folder in (place / "lake", Path(spark_settings.local_dir)):
        assert clear_values_in(folder, clear) == []


def test_what_is_not_copied_yet_is_copied_by_the_mended_mapping(place, spark) -> None:
    old = OldSystem(place / "old")
    old.put("c", [sold(7), returned(8)])
    lake = Lake(spark, str(place / "lake"))
    with planned(old, lake, place / "keys" / "root.json") as work:
        heal(work, ORDER_LINES)
        new = mended(work)
        assert requeue(new) == Requeued(good=3, refused=2, is_complete=True)
        copy_all(new)
        assert counts(new) == [(7, 5, 2, 0), (2, 2, 0, 0), (2, 2, 0, 0)]
        assert heal(new, ORDER_LINES) == 0
