"""Planning asks a database in one snapshot and in UTC, and cannot write; what fails says what to do."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace

import pytest

from migration.chunks import Chunk
from migration.sources.opening import open_source
from spark_jobs.errors import RetryableError, TerminalError
from tests.migration_tables import KINDS, OldDatabase, chunks_of, old_database, parsed


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[OldDatabase]:
    with old_database(request.param) as old:
        yield old


@pytest.fixture
def old(server: OldDatabase) -> OldDatabase:
    server.empty()
    return server


def test_a_condition_speaks_of_utc(old) -> None:
    """At eight in the evening of the old year; in Shanghai, where the account lives, the new one has begun."""
    kind, zone = ("timestamptz", "+00") if old.kind == "postgresql" else ("timestamp(6) NULL", "")
    old.keyed(kind, [f"'2019-12-31 20:00:00{zone}'"])
    if old.kind == "mysql":
        old.execute("SET GLOBAL time_zone = '+08:00'")
    assert [chunk.records for chunk in chunks_of(old, where="k < '2020-01-01'")] == [1]


def test_planning_cannot_write(old) -> None:
    old.keyed("bigint", ["1"])
    if old.kind == "postgresql":
        old.execute("CREATE SEQUENCE old.numbers", "GRANT ALL ON ALL SEQUENCES IN SCHEMA old TO reader")
        where = "nextval('old.numbers') > 0"
    else:
        old.execute(
            "CREATE FUNCTION old.writes() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM old.items; RETURN 1; END"
        )
        where = "old.writes() = 1"
    with pytest.raises(TerminalError, match=r"(?i)refuses a question: .*read.only"):
        chunks_of(old, where=where)


def test_all_of_a_plan_is_of_one_moment(old) -> None:
    old.keyed("bigint", [str(n) for n in range(25)])
    found = old.source.look([parsed()], lambda _mapping, _name: iter(()))
    first = next(found)
    old.execute("DELETE FROM old.items WHERE k >= 5")
    chunks = [first, *(one for one in found)]
    assert [one.records for one in chunks if isinstance(one, Chunk)] == [10, 10, 5]


def test_a_condition_that_is_none_is_told_without_the_statement(old) -> None:
    old.keyed("bigint", ["4711"])
    with pytest.raises(TerminalError, match="refuses a question") as error:
        chunks_of(old, where="no_such_column = 1")
    assert "SELECT" not in str(error.value)


def test_a_wrong_password_is_not_said_again(old, tmp_path) -> None:
    (tmp_path / "password").write_text("canary-wrong")
    wrong = replace(old.account, password_file=tmp_path / "password")
    source = open_source(old.address, accounts=(wrong,))
    with pytest.raises(RetryableError, match=r"does not answer: .*reader.*mend its \[source.NAME\]") as error:
        list(source.look([parsed()], lambda _mapping, _name: iter(())))
    assert "canary" not in "".join(traceback.format_exception(error.value))


def test_a_database_that_is_gone_may_come_back(old) -> None:
    old.keyed("bigint", [str(n) for n in range(25)])
    found = old.source.look([parsed()], lambda _mapping, _name: iter(()))
    next(found)
    old.server.stop()
    try:
        with pytest.raises(RetryableError, match="broke off"):
            list(found)
        with pytest.raises(RetryableError, match="does not answer") as error:
            chunks_of(old)
    finally:
        old.server.start()
    assert "canary" not in str(error.value)
    assert sum(chunk.records for chunk in chunks_of(old)) == 25
