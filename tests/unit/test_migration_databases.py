"""Databases as sources: what a job, a mapping and the settings may say of them, and what is never said again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migration.mapping import SourceTable
from migration.mapping_file import parse_mapping
from migration.sources.addresses import Address, parse_address
from migration.sources.dialect import TableColumn, keys_of
from migration.sources.mysql import MySql
from migration.sources.opening import open_source
from migration.sources.postgresql import PostgreSql
from migration.sources.tables import Tables
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import SourceAccount, load
from tests.migration_tables import job_in, product_mapping
from tests.unit.test_settings import GOOD

ADDRESS = "postgresql://db1:5432/shop"


def account(folder: Path, **changes: Any) -> SourceAccount:
    (folder / "password").write_text("canary\n")
    return replace(SourceAccount(ADDRESS, "reader", folder / "password"), **changes)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("postgresql://db1:5432/shop", Address("postgresql", "db1", 5432, "shop"), id="PostgreSQL"),
        pytest.param("mysql://10.0.0.1:3306/old-shop", Address("mysql", "10.0.0.1", 3306, "old-shop"), id="MySQL"),
        pytest.param("mysql://[fd00::1]:3306/a", Address("mysql", "fd00::1", 3306, "a"), id="IPv6"),
    ],
)
def test_an_address_comes_back_as_it_was(text, address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("postgresql://db1/shop", id="no port"),
        pytest.param("postgresql://db1:x/shop", id="a port that is none"),
        pytest.param("postgresql://db1:5432", id="no database"),
        pytest.param("mysql://db1:3306/shop?allowLoadLocalInfile=true", id="an option of the driver"),
        pytest.param("mysql://db1:3306/shop/../x", id="a path"),
    ],
)
def test_an_address_that_is_none(text) -> None:
    with pytest.raises(TerminalError, match="wanted postgresql or mysql://HOST:PORT/DATABASE"):
        parse_address(text)


def test_a_password_in_an_address_is_refused_and_not_said_again(tmp_path) -> None:
    for text in ("postgresql://reader:canary@db1:5432/shop", "mysql://canary@db1:3306/shop"):
        with pytest.raises(TerminalError, match="names a user") as error:
            job_in(tmp_path, text, product_mapping())
        assert "canary" not in str(error.value)


def test_the_account_of_an_address_comes_from_the_settings(tmp_path) -> None:
    other = account(tmp_path, address="postgresql://db2:5432/shop")
    source = open_source(ADDRESS, accounts=(other, account(tmp_path)))
    assert isinstance(source, Tables)
    assert (source.address, source.database.account.address) == (ADDRESS, ADDRESS)
    assert "canary" not in repr(source)
    with pytest.raises(TerminalError, match=r"has no account in the settings; add \[source.NAME\]"):
        open_source(ADDRESS, accounts=(other,))


def test_a_password_file_that_is_gone_is_named(tmp_path) -> None:
    with pytest.raises(TerminalError, match="password file"):
        account(tmp_path, password_file=tmp_path / "none").password()


def test_a_database_that_does_not_answer_may_later(tmp_path) -> None:
    address = "mysql://127.0.0.1:1/shop"
    source = open_source(address, accounts=(account(tmp_path, address=address),))
    with pytest.raises(RetryableError, match=r"source mysql://127\.0\.0\.1:1/shop does not answer") as error:
        list(source.look([parse_mapping(product_mapping(), where="m")], lambda _mapping, _name: iter(())))
    assert "canary" not in str(error.value)


SECTION = """
[source.shop]
address = "postgresql://db1:5432/shop"
user = "reader"
password_file = "/keys/shop"
"""


def test_settings_name_the_accounts_of_sources(tmp_path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f'{GOOD}{SECTION}ca_file = "/keys/ca.crt"\nconnections = 8\n{SECTION.replace("shop", "club")}')
    first, second = load(path).source_accounts
    assert first == SourceAccount(ADDRESS, "reader", Path("/keys/shop"), Path("/keys/ca.crt"), 8)
    assert (second.ca_file, second.connections) == (None, 4)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        pytest.param('[source.shop]\naddress = "x"\n', "[source.shop] missing key 'user'", id="half an account"),
        pytest.param(f'{SECTION}password = "x"\n', "[source.shop] unknown key 'password'", id="a password"),
        pytest.param(f"{SECTION}connections = 0\n", "connections is 0, wanted 1 or more", id="no connection"),
        pytest.param("[source]\nx = 1\n", "[source.x] is int, wanted a section of keys", id="no section"),
    ],
)
def test_settings_of_sources_that_are_none(tmp_path, section, says) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD + section)
    with pytest.raises(TerminalError) as error:
        load(path)
    assert says in str(error.value)


def test_a_mapping_of_a_table() -> None:
    given = product_mapping(where="id > 5")
    mapping = parse_mapping(given, where="m")
    assert mapping.source_table == SourceTable("old.items", "k", "id > 5", 10)
    assert (mapping.files, mapping.source_columns) == ("", frozenset({"id", "k"}))
    del given["chunk_rows"]
    table = parse_mapping(given, where="m").source_table
    assert table is not None
    assert table.chunk_rows == 1_000_000


TOKEN = {"token": "k", "type": "member_no", "scope": "x"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"table": None}, "m: missing key 'table'", id="no table"),
        pytest.param({"split_by": None}, "m: missing key 'split_by'", id="no key"),
        pytest.param({"table": "items"}, "table is 'items', wanted SCHEMA.NAME", id="no schema"),
        pytest.param({"table": "a.b'; --"}, "wanted SCHEMA.NAME", id="more than a name"),
        pytest.param({"chunk_rows": 0}, "chunk_rows is 0, wanted 1 or more", id="no rows"),
        pytest.param({"chunk_rows": "9"}, "chunk_rows is str, wanted int", id="rows in words"),
        pytest.param({"encoding": "gbk"}, "'encoding' means nothing to a mapping of a table", id="an encoding"),
        pytest.param({"files": "*.csv"}, "'files' means nothing to a mapping of a table", id="files"),
        pytest.param({"format": "csv"}, "'split_by' means nothing to a mapping of files", id="a table in files"),
        pytest.param({"columns": {"product_id": TOKEN}}, "split_by 'k' is an identifier", id="split by an identifier"),
    ],
)
def test_a_mapping_that_is_refused(changes, says) -> None:
    with pytest.raises(TerminalError) as error:
        parse_mapping(product_mapping(**changes), where="m")
    assert says in str(error.value)


def test_a_job_has_one_kind_of_source(tmp_path) -> None:
    files = {key: value for key, value in product_mapping(format="csv", files="*").items() if key not in TABLE_KEYS}
    assert job_in(tmp_path, ADDRESS, product_mapping()).source == ADDRESS
    with pytest.raises(
        TerminalError, match="is filled from files, and source postgresql://db1:5432/shop is a database"
    ):
        job_in(tmp_path, ADDRESS, files)
    with pytest.raises(TerminalError, match=r"is filled from a table, and source .* is a folder"):
        job_in(tmp_path, "export", product_mapping())


TABLE_KEYS = ("table", "split_by", "where", "chunk_rows")


def test_the_first_unique_index_without_nulls_is_the_key() -> None:
    indexes = [
        *[("a", True, "x", True), ("a", True, "y", False)],  # x may be null
        *[("b", True, None, False), ("b", True, "y", False)],  # begins with an expression
        *[("c", False, "z", False)],
        *[("d", True, "y", False), ("d", True, "z", False)],
    ]
    assert keys_of(indexes) == (("y", "z"), frozenset({"x", "z", "y"}))
    assert keys_of([]) == ((), frozenset())


@pytest.mark.parametrize(
    ("digits", "scale", "kind"),
    [
        pytest.param(10, 2, "decimal(10,2)", id="plain"),
        pytest.param(38, 38, "decimal(38,38)", id="the longest"),
        pytest.param(39, 0, "string", id="too long"),
        pytest.param(2, 5, "string", id="more decimals than digits"),
        pytest.param(3, -2, "string", id="rounded to hundreds"),
        pytest.param(None, None, "string", id="any length"),
    ],
)
def test_decimals_that_fit_and_that_do_not(digits, scale, kind) -> None:
    assert TableColumn("x", "numeric", digits, scale).decimal == kind


@pytest.mark.parametrize(
    ("dialect", "text", "data_type", "sql"),
    [
        pytest.param(PostgreSql(), "it's", "text", "CAST('it''s' AS text)", id="PostgreSQL quotes"),
        pytest.param(PostgreSql(), "a\\", "character", "CAST('a\\' AS bpchar)", id="PostgreSQL backslash"),
        pytest.param(MySql(), "' OR 1=1", "varchar", "_utf8mb4 x'27204f5220313d31'", id="MySQL text"),
        pytest.param(MySql(), "-5", "int", "-5", id="MySQL number"),
        pytest.param(MySql(), "00FF", "binary", "x'00FF'", id="MySQL bytes"),
    ],
)
def test_a_key_in_a_statement_is_a_value_and_nothing_more(dialect, text, data_type, sql) -> None:
    assert dialect.literal(text, data_type) == sql


def test_names_are_quoted() -> None:
    assert PostgreSql().quoted('a"b') == '"a""b"'
    assert MySql().quoted("a`b") == "`a``b`"


def test_with_an_authority_the_server_must_prove_itself(tmp_path) -> None:
    kept = account(tmp_path, ca_file=Path("/keys/ca.crt"))
    address = parse_address(ADDRESS)
    assert PostgreSql().connect_arguments(kept)["sslmode"] == "verify-full"
    assert PostgreSql().jdbc(address, kept)[1]["sslmode"] == "verify-full"
    assert MySql().connect_arguments(kept)["ssl_verify_identity"]
    assert MySql().jdbc(address, kept)[1]["sslMode"] == "verify-full"


@pytest.mark.parametrize("dialect", [PostgreSql(), MySql()], ids=["PostgreSQL", "MySQL"])
def test_no_password_is_in_the_url(dialect, tmp_path) -> None:
    assert "canary" not in str(dialect.jdbc(parse_address(ADDRESS), account(tmp_path)))
