"""Mapping and job files: checked whole, every problem in one message, nothing clear let through."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from migration.jobfile import load_job
from migration.mapping_file import load_mapping, parse_mapping
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.errors import TerminalError
from tests.migration_files import MAPPINGS, TOUCHPOINT, old_system


def given(**changes: object) -> dict[str, Any]:
    mapping: dict[str, Any] = yaml.safe_load((MAPPINGS / "order_lines.yaml").read_text())
    return mapping | changes


def with_column(name: str, rule: object) -> dict[str, Any]:
    mapping = given()
    mapping["columns"][name] = rule
    return mapping


def test_the_demo_s_job_fills_six_tables() -> None:
    job = load_job(MAPPINGS / "job.yaml", source="/somewhere")
    assert [mapping.table.table_name for mapping in job.mappings] == [
        *("order_lines", "members", "products", "campaigns", "campaign_targets", "coupon_redemptions"),
    ]
    assert job.source == "/somewhere"
    assert job.switch is not None
    assert [one.name for one in job.questions] == [
        "lines, baskets, sales and pieces by month and store",
        "sales by product",
    ]


def test_the_header_of_a_file_is_what_rules_and_ignore_name() -> None:
    assert parse_mapping(given(), where="m").source_columns >= {"household_id", "week", "transaction_timestamp"}


def test_the_version_follows_content_not_form() -> None:
    mapping = given()
    reordered = dict(reversed(mapping.items()))
    assert parse_mapping(mapping, where="a").version == parse_mapping(reordered, where="b").version
    assert parse_mapping(mapping, where="a").version != parse_mapping(given(zone="Asia/Shanghai"), where="a").version


def test_how_much_is_taken_is_no_rule_of_what_a_record_becomes(tmp_path) -> None:
    """So it may change while records are refused; other files are another plan."""
    jobs, changed = [], [given(), given(accepted_bad_share=0.5), given(files="*.csv")]
    for number, mapping in enumerate(changed):
        old = old_system(tmp_path / str(number))
        (old.folder / "order_lines.yaml").write_text(yaml.safe_dump(mapping))
        jobs.append(old.job())
    assert len({job.mappings[0].version for job in jobs}) == 1
    assert jobs[0].version == jobs[1].version != jobs[2].version


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        pytest.param(given(colour="red"), "m: unknown key 'colour'", id="unknown key"),
        pytest.param(given(zone=None), "m: zone is NoneType, wanted str", id="wrong type"),
        pytest.param(given(target="core.nothing"), "target 'core.nothing' is no table", id="unknown table"),
        pytest.param(given(zone="Mars/Olympus"), "zone 'Mars/Olympus'", id="unknown zone"),
        pytest.param(given(encoding="ebcdic"), "encoding 'ebcdic', wanted one of utf-8, gbk", id="unknown encoding"),
        pytest.param(given(accepted_bad_share=2), "accepted_bad_share is 2, wanted 0 to 1", id="share over one"),
        pytest.param(given(accepted_bad_share=True), "accepted_bad_share is bool", id="a bool is no number"),
        pytest.param(
            given(newest_by="quantity"), "newest_by is 'quantity', wanted a time or day", id="no time to order by"
        ),
        pytest.param(given(newest_by="updated_at"), "one of ordered_at, ordered_date", id="no column to order by"),
        pytest.param(
            given(target="core.members", newest_by="valid_from"), "one of registered_at, valid_to", id="part of the key"
        ),
        pytest.param(with_column("price", {"from": "x"}), "has no column 'price'", id="unknown column"),
        pytest.param(with_column("origin", {"value": "x"}), "has no column 'origin'", id="a column that is filled"),
        pytest.param(with_column("order_id", {}), "wanted exactly one of from, value", id="no rule"),
        pytest.param(with_column("order_id", {"from": "a", "value": "b"}), "wanted exactly one of", id="two rules"),
        pytest.param(with_column("order_id", {"from": "a", "cast": "b"}), "unknown key 'cast'", id="unknown option"),
        pytest.param(with_column("order_id", {"value": None}), "may not be empty", id="null where none may be"),
        pytest.param(with_column("quantity", {"value": 1}), "a constant fills only string", id="typed constant"),
        pytest.param(with_column("ordered_at", {"from": "t"}), "needs a `format`", id="time without format"),
        pytest.param(with_column("ordered_date", {"day_of": "quantity"}), "no timestamp column", id="day of a number"),
        pytest.param(with_column("subject_token", {"from": "household_id"}), "only `token`", id="clear into a token"),
        pytest.param(
            with_column("order_id", {"from": "household_id"}), "would be copied in clear", id="an identifier in clear"
        ),
        pytest.param(
            with_column("subject_token", {"token": "household_id", "type": "fax", "scope": ""}),
            "identifier type 'fax'",
            id="unknown identifier type",
        ),
        pytest.param(
            with_column("sales_value", {"from": "sales_value", "since": "soon"}), "since 'soon'", id="no time of since"
        ),
    ],
)
def test_a_mapping_is_refused_with_what_was_found_and_wanted(mapping, says) -> None:
    with pytest.raises(TerminalError) as error:
        parse_mapping(mapping, where="m")
    assert says in str(error.value)


def test_every_problem_of_a_mapping_stands_in_one_message() -> None:
    mapping = with_column("price", {"from": "x"}) | {"zone": "Mars/Olympus", "encoding": "ebcdic"}
    del mapping["columns"]["quantity"]
    with pytest.raises(TerminalError) as error:
        parse_mapping(mapping, where="m")
    for part in ("price", "Mars/Olympus", "ebcdic", "'quantity' has no rule"):
        assert part in str(error.value)


def test_the_order_of_versions_is_a_rule_and_what_is_derived_goes_by_the_same_time(tmp_path) -> None:
    old = old_system(tmp_path, derive=TOUCHPOINT)
    before = old.job()
    (tmp_path / "order_lines.yaml").write_text(yaml.safe_dump(given(newest_by="ordered_at")))
    job = old.job()
    assert job.version != before.version
    assert [job.newest_by(table) for table in (ORDER_LINES, ORDERS, EVENTS)] == ["ordered_at"] * 2 + ["occurred_at"]
    assert {before.newest_by(table) for table in (ORDER_LINES, ORDERS, EVENTS)} == {""}
    (tmp_path / "order_lines.yaml").write_text(yaml.safe_dump(given(newest_by="ordered_date")))
    with pytest.raises(TerminalError, match=r"newest_by of core\.order_lines is ordered_date, wanted ordered_at"):
        old.job()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("a: [", "is not valid YAML", id="broken YAML"),
        pytest.param("- a", "holds list, wanted keys", id="a list"),
        pytest.param("\xff", "is not valid YAML", id="not UTF-8"),
    ],
)
def test_a_file_that_is_no_mapping_is_named(tmp_path, content, says) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(TerminalError, match=says):
        load_mapping(path)


def test_a_missing_mapping_is_named(tmp_path) -> None:
    old = old_system(tmp_path)
    (tmp_path / "order_lines.yaml").unlink()
    with pytest.raises(TerminalError, match=r"order_lines\.yaml cannot be read: No such file"):
        old.job()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"colour": "red"}, "unknown key 'colour'", id="unknown key"),
        pytest.param({"mappings": ["order_lines.yaml", "order_lines.yaml"]}, "2 mappings fill core", id="twice filled"),
        pytest.param({"cutover": {"view": "v"}}, "[cutover]: missing key 'new'", id="half a cut-over"),
        pytest.param({"derive": {"app": "a", "terminal": "b", "x": 1}}, "unknown key 'x'", id="unknown part of derive"),
    ],
)
def test_a_job_is_refused_with_what_was_found_and_wanted(tmp_path, changes, says) -> None:
    with pytest.raises(TerminalError) as error:
        old_system(tmp_path, **changes).job()
    assert says in str(error.value)


def test_deriving_needs_order_lines(tmp_path) -> None:
    old = old_system(tmp_path, derive=TOUCHPOINT)
    (tmp_path / "order_lines.yaml").write_text((MAPPINGS / "products.yaml").read_text())
    with pytest.raises(TerminalError, match=r"orders come from core\.order_lines"):
        old.job()
