"""The fence: who lost a job's lease without noticing is refused by Delta, and a ledger may be older than its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import pytest
from delta.exceptions import ConcurrentTransactionException
from pyspark.sql import functions as F
from sqlalchemy import update

from migration.chunks import ChunkState
from migration.commits import DERIVE
from migration.copying import copy_all, prepare, write_chunk
from migration.deriving import Changed, Derived, derive
from migration.fencing import check_fence, fence
from migration.healing import heal
from migration.ledger_schema import LEASES
from migration.quarantining import _remember, keep
from migration.requeueing import _adopt, renew_quarantine
from migration.settling import settle
from migration.sources.lines import reading_session
from migration.verbs import _begin
from migration.work import Work
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import RetryableError
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.delta import Transaction
from tests.migration_files import TOUCHPOINT, OldSystem, line, old_system, planned

pytestmark = pytest.mark.thorough


@pytest.fixture
def old(tmp_path) -> OldSystem:
    system = old_system(tmp_path / "old")
    system.put("a", [line(number) for number in range(6)])
    return system


@pytest.fixture
def work(old, lake, key_file) -> Iterator[Work]:
    with planned(old, lake, key_file) as ready:
        yield ready


def test_who_lost_the_lease_without_noticing_is_refused_by_delta(work, old, lake, key_file) -> None:
    copy_all(work)
    zombie = Append(lake, ORDER_LINES)  # begun in time, and then its process slept
    check_fence(work, zombie)
    take_the_lease_away(work)
    with planned(old, lake, key_file) as heir:
        assert heir.lease.epoch > work.lease.epoch
        prepare(heir)
        zombie.write(delta.read(lake, ORDER_LINES).withColumn("origin", F.lit("migration/zombie")))
        with pytest.raises(ConcurrentTransactionException):
            zombie.commit(Transaction("migration/zombie", 1), facts={})
        with pytest.raises(RetryableError, match="its targets are at epoch 2, this process holds epoch 1"):
            check_fence(work, Append(lake, ORDER_LINES))
        check_fence(heir, Append(lake, ORDER_LINES))
    assert delta.read(lake, ORDER_LINES).count() == 6


def test_whatever_a_replaced_operator_writes_is_refused(old, lake, key_file) -> None:
    old.put("b", [line(0), "broken"])  # a line of a again
    with planned(old, lake, key_file) as work:
        copy_all(work)
        heal(work, ORDER_LINES)
        _, chunk = work.ledger.chunks(work.plan.plan_id)
        mapping = replace(work.mappings[0], version="mended")
        mended = replace(work, job=replace(work.job, mappings=(mapping,)))
        refused = delta.read(lake, QUARANTINE_ROWS).withColumn("line", F.col("position"))
        session = reading_session(lake.spark)
        take_the_lease_away(work)
        with planned(old, lake, key_file) as heir:
            _begin(heir, "settle")
            before = [delta.current_version(lake, table) for table in (ORDER_LINES, QUARANTINE_ROWS)]
            writes: list[Callable[[], object]] = [
                lambda: write_chunk(work, session, chunk),
                lambda: write_chunk(work, session, chunk, repair=True),
                lambda: keep(work, chunk, None, wanted=0, is_repair=True),
                lambda: _remember(work, [chunk]),
                lambda: settle(lake, ORDER_LINES, run_id="test", check=partial(check_fence, work)),
                lambda: renew_quarantine(mended, lake, refused, mapping),
                lambda: _adopt(mended, ""),
            ]
            for write in writes:
                with pytest.raises(RetryableError, match="was taken over"):
                    write()
            with pytest.raises(RetryableError, match="lost to another process"):
                work.ledger.move(chunk, ChunkState.FAILED, message="taken over")
            assert [delta.current_version(lake, table) for table in (ORDER_LINES, QUARANTINE_ROWS)] == before
            assert [one.state for one in heir.ledger.chunks(heir.plan.plan_id)] == [ChunkState.COPIED] * 2


def test_a_ledger_from_a_backup_rises_above_the_epochs_of_its_tables(work, old, key_file, tmp_path) -> None:
    work.lease.rise_to(7)
    copy_all(work)
    with planned(old, work.lake, key_file, ledger=tmp_path / "restored.sqlite") as restored:
        assert restored.lease.epoch == 1
        prepare(restored)
        assert restored.lease.epoch == 9
        check_fence(restored, Append(work.lake, ORDER_LINES))


@pytest.fixture
def to_derive(tmp_path, lake, key_file) -> Iterator[tuple[OldSystem, Work]]:
    """Copied, and orders are derived of it: not yet."""
    old = old_system(tmp_path / "deriving", derive=TOUCHPOINT)
    old.put("a", [line(number) for number in range(6)])
    with planned(old, lake, key_file) as work:
        copy_all(work)
        yield old, work


def test_a_replaced_operator_derives_nothing_into_tables_that_its_heir_made(to_derive, lake, key_file) -> None:
    old, work = to_derive
    take_the_lease_away(work)
    with planned(old, lake, key_file) as heir:
        _begin(heir, "derive")
        assert derive(heir).rows == Changed(inserted=12)
        delta.replace_where(delta.read(lake, ORDER_LINES).limit(0), lake, ORDER_LINES, "order_id = '3'")
        before = [delta.current_version(lake, table) for table in (ORDERS, EVENTS)]
        with pytest.raises(RetryableError, match="its targets are at epoch 2"):
            derive(work)
        assert [delta.current_version(lake, table) for table in (ORDERS, EVENTS)] == before
        assert derive(heir).rows == Changed(deleted=2)


def test_a_derivation_that_is_overtaken_at_its_commit_is_refused_by_delta(
    to_derive, lake, key_file, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, work = to_derive
    commit, heirs = Append.commit, ExitStack()

    def too_late(transaction: Append, *given: Transaction, facts: dict[str, object]) -> int:
        if facts["kind"] == DERIVE and not heirs_there:
            take_the_lease_away(work)
            heirs_there.append(heirs.enter_context(planned(old, lake, key_file)))
            fence(heirs_there[0])
        return commit(transaction, *given, facts=facts)

    heirs_there: list[Work] = []
    monkeypatch.setattr(Append, "commit", too_late)
    with heirs:
        with pytest.raises(RetryableError, match="its targets are at epoch 2, this process holds epoch 1"):
            derive(work)
        assert delta.read(lake, ORDERS).count() == 0
        assert derive(heirs_there[0]).rows == Changed(inserted=12)


def test_of_two_derivations_at_once_the_second_looks_again(to_derive, lake, monkeypatch: pytest.MonkeyPatch) -> None:
    _, work = to_derive
    begin_again, beside = Append.begin_again, list[Derived]()

    def after_the_other(transaction: Append) -> None:
        if not beside:
            beside.append(Derived())
            beside[0] = derive(work)
        begin_again(transaction)

    monkeypatch.setattr(Append, "begin_again", after_the_other)
    assert derive(work).rows == Changed()
    assert beside[0].rows == Changed(inserted=12)
    assert (delta.read(lake, ORDERS).count(), delta.read(lake, EVENTS).count()) == (6, 6)


def take_the_lease_away(work: Work) -> None:
    """Another host's process held it, as far as the ledger knows, and it has run out."""
    with work.ledger.engine.begin() as connection:
        connection.execute(update(LEASES).values(owner="elsewhere/1/1", expires_at=""))
