"""The real Trino over what Spark wrote: registered, checked, readable to the last value, never written by Trino."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spark_jobs.contracts import core
from spark_jobs.contracts.audiences import AUDIENCE_CHANGES, AUDIENCE_PUBLICATIONS
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, PRODUCTS
from spark_jobs.contracts.derived import TAG_CHANGES, TAG_PUBLICATIONS, TAG_REFUSED
from spark_jobs.contracts.identity import (
    IDENTIFIERS,
    IDENTITY_DECISIONS,
    IDENTITY_LINK_STATES,
    IDENTITY_LINKS,
    IDENTITY_MAP,
    IDENTITY_SNAPSHOTS,
    PERSONS,
)
from spark_jobs.contracts.schema import Column, Table
from spark_jobs.contracts.tables import TABLES
from spark_jobs.errors import TerminalError
from spark_jobs.settings import load
from tests.trino_rows import (
    EPOCH,
    audience_change,
    audiences,
    event,
    held,
    line,
    person,
    product,
    publication,
    refused_person,
    row_of,
    snapshot,
    tag_change,
)
from trino_catalog.apply import apply
from trino_catalog.connection import Trino
from trino_catalog.definitions import load_views
from trino_catalog.registration import check_tables, register_tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from services.embedded.stack import EmbeddedStack
    from spark_jobs.storage.delta import Lake


@pytest.fixture(scope="module")
def filled(trino_stack: EmbeddedStack, spark: SparkSession, trino: Trino) -> Lake:
    """Every table of the contracts, empty, and Trino's view of it."""
    from spark_jobs.storage.delta import Lake, ensure

    waiting = apply(trino, load(trino_stack.settings_path))
    assert waiting["tables"] == []
    assert set(waiting["waiting"]) == {view.name for view in load_views()}
    lake = Lake(spark, str(trino_stack.layout.lake))
    for table in TABLES:
        ensure(lake, table)
    apply(trino, load(trino_stack.settings_path))
    return lake


def append(lake: Lake, table: Table, *rows: tuple[Any, ...]) -> None:
    from spark_jobs.storage.delta import conform

    frame = conform(lake.spark.createDataFrame(list(rows), table.ddl), table)
    frame.write.format("delta").mode("append").save(lake.path_of(table))


def test_every_table_and_view_is_shown_and_a_second_run_agrees(
    trino_stack: EmbeddedStack, filled: Lake, trino: Trino
) -> None:
    first, second = (apply(trino, load(trino_stack.settings_path)) for _ in range(2))
    assert first == second
    assert first["tables"] == [table.name for table in TABLES]
    assert first["waiting"] == {}
    for view in load_views():
        trino.ask(f"SELECT * FROM lake.{view.name} LIMIT 1")


def test_what_spark_wrote_is_read_to_the_last_value(filled: Lake, trino: Trino) -> None:
    odd = "Zürich 北京 \U0001f600 'quoted' \"twice\" \\ \n\t"
    moments = [
        datetime(2017, 11, 1, 3, 59, 59, 999000, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC),
    ]
    given = [("phone", "", b"\0" * 16, "k1"), ("login", "a", b"\xff" * 16, "k1")]
    rows = [
        event("odd", moments[0], properties=odd, identifiers=given),
        event("empty", moments[1], properties="", identifiers=[]),
        event("null", moments[2], properties=None, identifiers=None),
    ]
    append(filled, EVENTS, *rows)
    answer = trino.ask(
        "SELECT event_id, occurred_at, occurred_date, identifiers, properties FROM lake.core.events "
        "WHERE event_id IN ('odd', 'empty', 'null') ORDER BY occurred_at"
    )
    empty, full, null = answer.rows
    assert (full[0], full[1], full[2], full[4]) == ("odd", moments[0], date(2017, 11, 1), odd)
    assert [tuple(one) for one in full[3]] == given
    assert (empty[1], empty[2], empty[3], empty[4]) == (moments[1], date(1970, 1, 1), [], "")
    assert (null[1], null[2], null[3], null[4]) == (moments[2], date(2099, 12, 31), None, None)


def test_a_new_commit_is_seen_by_the_next_query(filled: Lake, trino: Trino) -> None:
    query = "SELECT count(*), count_if(product_line = '') FROM lake.core.products"
    before = trino.ask(query).one()
    for count in (1, 2, 3):
        append(filled, PRODUCTS, product(f"p{count}", product_line=""))
        assert trino.ask(query).one() == (before[0] + count, before[1] + count)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {catalogue}.core.campaigns VALUES ('w', 'c', 't', DATE '2017-01-01', DATE '2017-01-02', 'o', 1)",
        "DELETE FROM {catalogue}.core.campaigns WHERE campaign_id = 'c'",
        "UPDATE {catalogue}.core.campaigns SET campaign_type = 'x' WHERE campaign_id = 'c'",
    ],
    ids=["insert", "delete", "update"],
)
@pytest.mark.parametrize("catalogue", ["lake", "lake_admin"])
def test_trino_never_writes_rows(filled: Lake, trino: Trino, statement: str, catalogue: str) -> None:
    append(filled, core.CAMPAIGNS, ("w", "c", "t", date(2017, 1, 1), date(2017, 1, 2), "o", 1))
    with pytest.raises(TerminalError, match=r"PERMISSION_DENIED|NOT_SUPPORTED"):
        trino.ask(statement.format(catalogue=catalogue))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW lake.core.mine AS SELECT 1 AS one",
        "DROP VIEW lake.tags.populations",
        "CREATE SCHEMA lake.mine",
        "DROP TABLE lake.core.events",
        "CREATE TABLE lake.core.copied AS SELECT 1 AS one",
        "CALL lake.system.unregister_table('core', 'events')",
    ],
)
def test_readers_change_no_definition(filled: Lake, trino: Trino, statement: str) -> None:
    with pytest.raises(TerminalError, match="PERMISSION_DENIED"):
        trino.ask(statement)


def test_a_table_that_moved_is_registered_anew(filled: Lake, trino: Trino, tmp_path: Path) -> None:
    from spark_jobs.storage.delta import Lake, ensure

    moved = Lake(filled.spark, str(tmp_path / "moved"))
    ensure(moved, PRODUCTS)
    register_tables(trino, moved.root, [PRODUCTS])
    assert trino.ask("SELECT count(*) FROM lake_admin.core.products").one() == (0,)
    register_tables(trino, filled.root, [PRODUCTS])
    assert trino.ask("SELECT count(*) > 0 FROM lake_admin.core.products").one() == (True,)


def test_a_table_that_is_not_as_its_contract_is_named_with_its_columns(
    filled: Lake, trino: Trino, tmp_path: Path
) -> None:
    from spark_jobs.storage.delta import Lake, ensure

    written = Table(
        name="core.campaigns",
        grain="one campaign",
        key=("campaign_id",),
        columns=(
            Column("workspace_id", "string", "w"), Column("campaign_id", "bigint", "number where text is wanted"),
            *core.CAMPAIGNS.columns[2:-1], Column("surprise", "string", "in no contract"),
        ),
    )  # fmt: skip
    other = Lake(filled.spark, str(tmp_path / "other"))
    ensure(other, written)
    register_tables(trino, other.root, [core.CAMPAIGNS])
    with pytest.raises(TerminalError) as raised:
        check_tables(trino, [core.CAMPAIGNS])
    register_tables(trino, filled.root, [core.CAMPAIGNS])
    for part in (
        "core.campaigns.campaign_id is bigint, wanted varchar",
        "core.campaigns.origin_position is missing, wanted bigint",
        "core.campaigns.surprise is in no contract",
    ):
        assert part in str(raised.value)


def test_an_event_belongs_to_who_held_the_device_then(filled: Lake, trino: Trino) -> None:
    noon = datetime(2017, 11, 5, 12, tzinfo=UTC)
    token = bytes(range(16))
    spans = [(datetime(1, 1, 1, tzinfo=UTC), noon, "ann"), (noon, datetime(9999, 12, 31, tzinfo=UTC), "bob")]
    late = noon.replace(hour=20)  # what a run wrote that died before it published, or publishes just now
    ends = (None, late)
    append(filled, IDENTITY_MAP, *(held(token, *span, system_to=end) for span, end in zip(spans, ends, strict=True)))
    append(filled, IDENTITY_MAP, held(token, *spans[0][:2], "of a former snapshot", system_to=noon))
    append(filled, IDENTITY_MAP, held(token, *spans[1][:2], "of no snapshot", system_from=late))
    append(filled, IDENTITY_SNAPSHOTS, snapshot(noon), snapshot(EPOCH))
    hours = {"before": 11, "at the border": 12, "after": 13}
    append(filled, EVENTS, *(event(name, noon.replace(hour=hour), token=token) for name, hour in hours.items()))
    append(filled, EVENTS, event("nobody", noon, token=b"?" * 16))
    rows = trino.ask(
        "SELECT event_id, person_id FROM lake.core.events_by_person WHERE occurred_date = DATE '2017-11-05'"
    ).rows
    assert dict(rows) == {"before": "ann", "at the border": "bob", "after": "bob", "nobody": None}
    assert len(rows) == 4


def test_a_merged_id_leads_to_who_lives_as_the_newest_snapshot_says(filled: Lake, trino: Trino) -> None:
    noon = datetime(2017, 11, 5, 12, tzinfo=UTC)
    append(filled, IDENTITY_SNAPSHOTS, snapshot(noon))
    append(filled, PERSONS, person("cat", "cat", system_from=None), person("dan", "dan", system_from=EPOCH))
    append(filled, PERSONS, person("dan", "cat", system_from=noon), person("eve", "cat", system_from=noon))
    append(filled, PERSONS, person("cat", "dan", system_from=noon.replace(hour=20)))
    rows = trino.ask("SELECT person_id, survivor_id, is_living FROM lake.core.persons_current ORDER BY person_id").rows
    assert [tuple(row) for row in rows] == [("cat", "cat", True), ("dan", "cat", False), ("eve", "cat", False)]


def test_a_link_is_shown_with_what_showed_and_what_decided_it(filled: Lake, trino: Trino) -> None:
    noon, a, b = datetime(2017, 11, 5, 12, tzinfo=UTC), 901, 902
    ends = {"identifier_a": a, "identifier_b": b}
    append(filled, IDENTITY_SNAPSHOTS, snapshot(noon))
    for number, name in ((a, "login"), (b, "phone")):
        append(
            filled, IDENTIFIERS, row_of(IDENTIFIERS, identifier_no=number, type=name, token=bytes([number % 256]) * 16)
        )
    append(
        filled,
        IDENTITY_LINK_STATES,
        row_of(IDENTITY_LINK_STATES, **ends, state="used", reason="joins", system_from=EPOCH, system_to=noon),
        row_of(IDENTITY_LINK_STATES, **ends, state="blocked", reason="separated by decision", system_from=noon),
        row_of(IDENTITY_LINK_STATES, **ends, state="used", reason="later", system_from=noon.replace(hour=20)),
    )
    seen = [row_of(IDENTITY_LINKS, **ends, kind="co_occurrence", source="web", event_id=name) for name in ("e2", "e1")]
    append(filled, IDENTITY_LINKS, *seen)
    append(
        filled,
        IDENTITY_DECISIONS,
        row_of(IDENTITY_DECISIONS, **ends, decision_id="d1", kind="unmerge", author="ann", reason="two people"),
        row_of(IDENTITY_DECISIONS, **ends, decision_id="d0", kind="join", author="bob", reason="one person"),
        row_of(IDENTITY_DECISIONS, decision_id="d2", kind="withdraw", withdraws="d0", author="bob"),
    )
    rows = trino.ask(
        "SELECT state, reason, type_a, type_b, kind, event_id, observations, author FROM lake.core.identity_why "
        f"WHERE identifier_a = {a} ORDER BY kind"
    ).rows
    head = ("blocked", "separated by decision", "login", "phone")
    assert [tuple(row) for row in rows] == [
        (*head, "co_occurrence", "e1", 2, None),
        (*head, "unmerge", "d1", 1, "ann"),
    ]


def test_days_and_months_are_those_of_the_workspace(filled: Lake, trino: Trino) -> None:
    # 04:00 UTC is midnight in New York until the clocks change on 2017-11-05, then 05:00 UTC is.
    moments = {
        "31 Oct": datetime(2017, 11, 1, 3, 59, 59, tzinfo=UTC),
        "1 Nov": datetime(2017, 11, 1, 4, tzinfo=UTC),
        "30 Nov": datetime(2017, 12, 1, 4, 59, 59, tzinfo=UTC),
        "1 Dec": datetime(2017, 12, 1, 5, tzinfo=UTC),
    }
    append(filled, ORDER_LINES, *(line(name, moment) for name, moment in moments.items()))
    rows = dict(trino.ask("SELECT order_id, local_date FROM lake.sales.purchases").rows)
    assert {name: f"{day.day} {day:%b}" for name, day in rows.items() if name in moments} == {n: n for n in moments}


def test_what_was_recorded_before_a_class_was_declared_is_sensitive_as_well(filled: Lake, trino: Trino) -> None:
    noon = datetime(2017, 11, 5, 12, tzinfo=UTC)
    append(filled, TAG_CHANGES, *(tag_change(tag, number) for tag in ("kids", "buyer", "gone") for number in (1, 2)))
    append(filled, TAG_PUBLICATIONS, publication(1, noon, kids="", buyer="", gone=""))
    append(filled, TAG_PUBLICATIONS, publication(2, noon, kids="minors", buyer=""))
    for view, tags in (("change_history", {"buyer", "gone"}), ("sensitive_changes", {"kids"})):
        rows = trino.ask(f"SELECT tag, state_version FROM lake.tags.{view} WHERE workspace_id = 'classes'").rows
        assert sorted(map(tuple, rows)) == [(tag, number) for tag in sorted(tags) for number in (1, 2)]
    # Of who refuses profiling only the tag that says so is shown.
    append(filled, TAG_REFUSED, refused_person(1, open_tag="gone"), refused_person(2, open_tag="buyer"))
    rows = trino.ask("SELECT tag, state_version FROM lake.tags.change_history WHERE workspace_id = 'classes'").rows
    assert sorted(map(tuple, rows)) == [("buyer", 1), ("buyer", 2)]
    assert not trino.ask("SELECT 1 FROM lake.tags.sensitive_changes WHERE workspace_id = 'classes'").rows


def test_audiences_of_what_became_sensitive_are_hidden_and_so_is_who_refuses(filled: Lake, trino: Trino) -> None:
    append(filled, AUDIENCE_PUBLICATIONS, audiences(1, plain=("", "buyer"), home=("", "kids")))
    append(filled, AUDIENCE_CHANGES, *(audience_change(*one, "p") for one in (("plain", 1), ("home", 1), ("plain", 9))))
    append(filled, AUDIENCE_CHANGES, audience_change("plain", 1, "refuses"))
    tags = json.dumps({"tags": {"kids": {"classes": "minors"}, "buyer": {"classes": ""}}})
    in_sets = {"workspace_id": "sets", "generation": "t1"}
    append(filled, TAG_PUBLICATIONS, row_of(TAG_PUBLICATIONS, **in_sets, kind="current", state=tags))
    append(filled, TAG_REFUSED, row_of(TAG_REFUSED, **in_sets, person_id="refuses"))
    for side, name in (("", "plain"), ("sensitive_", "home")):
        for view, column in (("counts", "persons"), ("history", "person_id")):
            sql = f"SELECT audience, {column} FROM lake.tags.{side}audience_{view} WHERE workspace_id = 'sets'"
            assert [tuple(row) for row in trino.ask(sql).rows] == [(name, {"persons": 1, "person_id": "p"}[column])]
