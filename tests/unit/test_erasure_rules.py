"""The registry of personal data: no table with any is without a rule, and every rule fits its table."""

from __future__ import annotations

from spark_jobs.contracts.core import EVENTS
from spark_jobs.contracts.erasing import OF_IDENTITY, RULES, has_personal_data, moment_of, unruled
from spark_jobs.contracts.schema import Column, Table
from spark_jobs.contracts.tables import TABLES

SUBJECT = {"subject_type", "subject_scope", "subject_token"}


def test_every_table_with_personal_data_has_a_rule_of_erasure() -> None:
    assert unruled(TABLES) == []


def test_a_new_table_with_personal_data_is_noticed() -> None:
    new = Table("core.letters", "one letter", ("id",), (Column("id", "string", "id", personal="pseudonym"),))
    plain = Table("core.colours", "one colour", ("id",), (Column("id", "string", "id"),))
    assert unruled((*TABLES, new, plain)) == ["core.letters"]


def test_no_rule_is_of_a_table_that_does_not_exist_or_holds_nothing_personal() -> None:
    assert set(RULES) <= set(TABLES)
    assert all(has_personal_data(table) for table in RULES)


def test_every_column_that_a_rule_names_is_there() -> None:
    wrong = {table.name: set(rule.columns) - set(table.column_names) for table, rule in RULES.items()}
    assert {name: columns for name, columns in wrong.items() if columns} == {}


def test_rules_can_find_what_they_look_for() -> None:
    for table, rule in RULES.items():
        names = set(table.column_names)
        if rule.by == "subject":
            assert names >= SUBJECT, table.name
            assert {"origin", "origin_position"} <= names, f"{table.name}: its rows cannot be told apart"
        if rule.by in ("ids", "history"):
            assert rule.persons or rule.numbers, table.name
        if rule.emptied:
            nullable = {column.name: column.nullable for column in table.columns}
            assert rule.persons == ("person_id",), table.name
            assert nullable[rule.emptied], f"{table.name}: it can be no null"
            assert rule.emptied not in table.key, table.name
        if rule.by == "kept":
            assert rule.why, table.name


def test_every_master_id_and_identifier_number_is_looked_at() -> None:
    """A row that goes by one person's id may name another's: each such column is looked at."""
    for table, rule in RULES.items():
        if rule.by in ("ids", "history"):
            ids = {c.name for c in table.columns if c.personal == "pseudonym" and c.name.endswith("_id")}
            assert ids <= {*rule.persons, rule.emptied}, table.name
            ends = {"identifier_a", "identifier_b", "identifier_no"} & set(table.column_names)
            assert ends <= set(rule.numbers), table.name
            # Of who a row's identifier was another's then, the number does not tell.
            tokens = {"subject_token"} & set(table.column_names)
            assert tokens <= set(rule.tokens), table.name


def test_a_list_of_identifiers_is_stripped_wherever_there_is_one() -> None:
    for table, rule in RULES.items():
        if "identifiers" in table.column_names and has_personal_data(table):
            assert rule.listed == "identifiers", table.name


def test_what_has_a_time_of_its_own_goes_by_it() -> None:
    for table, rule in RULES.items():
        if rule.by == "subject" and table.happened_at:
            assert rule.moment == table.happened_at, table.name
    assert moment_of(EVENTS) == "occurred_at"


def test_identity_goes_last() -> None:
    names = [table for table, rule in RULES.items() if rule.by != "kept"]
    assert tuple(names[-len(OF_IDENTITY) :]) == OF_IDENTITY
