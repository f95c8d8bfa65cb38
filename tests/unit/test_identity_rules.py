"""`identity.yml`: every problem is named with its place, an editor marks the same, and the version follows meaning."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES
from spark_jobs.documents import text_of
from spark_jobs.errors import TerminalError
from spark_jobs.findings import Findings
from spark_jobs.identity import barring, check
from spark_jobs.identity.declared import Blocked, Rules, version_of_rules
from spark_jobs.identity.rules_file import BLOCKED_KEYS, SHIPPED, TYPE_KEYS, read_rules, rules_of
from spark_jobs.identity.schema_files import BLOCKED_NOTES, FOLDER, SCHEMAS, TYPE_NOTES, rules_schema
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from spark_jobs.settings import Settings, SparkSettings
from tests.identity_rules import SHIPPED_RULES, changed, rules_at

SCHEMA = Draft202012Validator(rules_schema())
HOTLINE = {"type": "phone", "value": "400 800 1234", "reason": "hotline"}
A_TOKEN = {"value": None, "token": "AB" * 16, "type": "device", "scope": "web", "reason": "a test device"}


def problems_of(content: object) -> list[str]:
    findings = Findings("identity.yml")
    rules_of(content, findings)
    return findings.problems


def blocked(*entries: dict[str, Any]) -> dict[str, Any]:
    kept = [{key: value for key, value in entry.items() if value is not None} for entry in entries]
    return changed("blocked", kept)


def test_the_shipped_rules_are_valid_and_say_what_the_doors_know() -> None:
    rules = read_rules(SHIPPED)
    assert list(SCHEMA.iter_errors(SHIPPED_RULES)) == []
    for kind in rules.types:
        known = IDENTIFIER_TYPES[kind.name]
        said = (kind.owner_limit, kind.unique_per_person, kind.priority, kind.sharing, kind.trust)
        assert said == (known.owner_limit, known.unique_per_person, known.priority, known.sharing, "proof")
    assert set(rules.names) == set(IDENTIFIER_TYPES)


def test_values_may_be_blocked_in_clear_or_as_tokens() -> None:
    content = blocked(HOTLINE, A_TOKEN, {"value": "nobody@example", "reason": "of every type"})
    assert problems_of(content) == []
    assert list(SCHEMA.iter_errors(content)) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param([], "wanted a mapping with blocked, types", id="a list"),
        pytest.param(changed("sauce", 1), "unknown key 'sauce'", id="unknown key"),
        pytest.param(changed("types", None), "missing key 'types'", id="no types"),
        pytest.param(changed("types", {}), "types: found {}", id="empty types"),
        pytest.param(changed("types.phone.priority", None), "types.phone: missing key 'priority'", id="missing key"),
        pytest.param(changed("types.phone.owners", 3), "types.phone: unknown key 'owners'", id="unknown key of a type"),
        pytest.param(changed("types.phone.owner_limit", 0), "wanted a whole number from 1", id="no owner"),
        pytest.param(changed("types.phone.owner_limit", "3"), "types.phone.owner_limit: found '3'", id="text"),
        pytest.param(changed("types.phone.owner_limit", True), "found True (bool)", id="true is no number"),
        pytest.param(changed("types.phone.unique_per_person", "no"), "wanted true or false", id="quoted no"),
        pytest.param(changed("types.phone.sharing", "shared"), "unknown sharing 'shared'", id="sharing"),
        pytest.param(changed("types.phone.trust", "maybe"), "unknown trust 'maybe'", id="trust"),
        pytest.param(changed("types.phone.normaliser", "upper"), "unknown normaliser 'upper'", id="normaliser"),
        pytest.param(changed("types.phone.scope", ""), "types.phone.scope: found ''", id="empty scope"),
        pytest.param(changed("types.fax", SHIPPED_RULES["types"]["phone"]), "no door makes tokens", id="unknown type"),
        pytest.param(changed("blocked", "x"), "wanted a list of at most 10000", id="no list"),
        pytest.param(blocked({"value": "x", "token": "ab" * 16, "reason": "r"}), "wanted one of them", id="both"),
        pytest.param(blocked({"type": "phone", "reason": "r"}), "wanted one of them", id="neither"),
        pytest.param(blocked({"value": "x"}), "blocked.0: missing key 'reason'", id="no reason"),
        pytest.param(blocked({"value": 138, "reason": "r"}), "blocked.0.value: found int, wanted text", id="number"),
        pytest.param(blocked({"token": "zz", "reason": "r"}), "wanted 32 hex digits", id="no token"),
        pytest.param(blocked({**HOTLINE, "type": "fax"}), "unknown type 'fax'", id="blocked of an unknown type"),
        pytest.param(blocked({"value": "x", "scope": "web", "reason": "r"}), "a scope without a type", id="scope"),
    ],
)
def test_what_the_reader_refuses_an_editor_marks(content: object, said: str) -> None:
    found = problems_of(content)
    assert any(said in problem for problem in found), found
    assert all(problem.startswith("identity.yml: ") for problem in found)
    assert list(SCHEMA.iter_errors(content)) != []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(changed("types.phone.priority", 2), "found 2, which another type has, too", id="priority twice"),
        pytest.param(
            changed("types.phone.normaliser", "folded"), "wanted 'phone', as tokens are made", id="normaliser"
        ),
        pytest.param(changed("types.phone.validator", "any"), "wanted 'phone', as values are refused", id="validator"),
        pytest.param(changed("types.device.unique_per_person", True), "passes from person to person", id="sliced"),
        pytest.param(blocked(HOTLINE, {**HOTLINE, "reason": "again"}), "blocked.1: stands twice", id="blocked twice"),
        pytest.param(
            {**SHIPPED_RULES, "types": {"device": SHIPPED_RULES["types"]["device"]}},
            "nobody would be anybody",
            id="all",
        ),
    ],
)
def test_only_the_reader_knows(content: object, said: str) -> None:
    assert any(said in problem for problem in problems_of(content))


def test_a_blocked_value_stands_in_no_message() -> None:
    content = blocked(HOTLINE, HOTLINE, {**HOTLINE, "scope": 7}, {**HOTLINE, "token": "400 800 1234"})
    assert problems_of(content)
    assert "400 800" not in str(problems_of(content))


def test_every_problem_of_a_file_is_in_one_message(tmp_path: Path) -> None:
    content = changed("types.phone.trust", "maybe")
    content["types"]["login"]["owner_limit"] = -1
    with pytest.raises(TerminalError) as raised:
        read_rules(rules_at(tmp_path, content))
    assert "2 problems, nothing was computed" in str(raised.value)
    assert "types.phone.trust" in str(raised.value)
    assert "types.login.owner_limit" in str(raised.value)


def test_a_key_that_stands_twice_and_a_file_that_is_none_are_refused(tmp_path: Path) -> None:
    twice = tmp_path / "twice.yml"
    twice.write_text("types: {}\ntypes: {}\n")
    with pytest.raises(TerminalError, match="key stands twice: types"):
        read_rules(twice)
    with pytest.raises(TerminalError, match="1 problems"):
        read_rules(tmp_path / "nothing.yml")


def test_the_version_follows_the_meaning_and_not_the_wording() -> None:
    rules = read_rules(SHIPPED)
    version = version_of_rules(rules)
    assert len(version) == 16
    assert version_of_rules(Rules(rules.types[::-1])) == version
    assert version_of_rules(Rules(tuple(replace(kind, scope="other words") for kind in rules.types))) == version
    one = Blocked("x", None, None, None, "why")
    versions = [
        version_of_rules(changed_rules)
        for changed_rules in (
            Rules(rules.types[1:]),
            Rules((replace(rules.types[0], owner_limit=2), *rules.types[1:])),
            Rules((replace(rules.types[0], trust="hint"), *rules.types[1:])),
            Rules(rules.types, (one,)),
            Rules(rules.types, (replace(one, type="login"),)),
            Rules(rules.types, (replace(one, type="login", scope=""),)),
        )
    ]
    assert len({version, *versions}) == 1 + len(versions)
    assert version_of_rules(Rules(rules.types, (replace(one, reason="other words"),))) == versions[3]
    assert version_of_rules(Rules(rules.types, (one,)), b"key") != versions[3]


def test_a_blocked_value_counts_in_every_scope_unless_one_is_named(key_file: Path) -> None:
    rules = read_rules(SHIPPED)
    entries = (
        Blocked("ABC", None, None, None, "of every type"),
        Blocked("xyz", None, "login", "shop", "of one scope"),
        Blocked(None, b"t" * 16, "device", None, "a token"),
    )
    scopes = [("login", "shop"), ("login", "bank"), ("device", "web"), ("undeclared", "web")]
    tokeniser = Tokeniser(load_root_keys(key_file))
    found = {
        (kind, scope, bytes(token))
        for kind, scope, token in barring.blocked_tokens(Rules(rules.types, entries), scopes, key_file)
    }
    assert found == {
        ("login", "shop", tokeniser.token("login", "shop", "abc")),
        ("login", "bank", tokeniser.token("login", "bank", "abc")),
        ("device", "web", tokeniser.token("device", "web", "abc")),
        ("login", "shop", tokeniser.token("login", "shop", "xyz")),
        ("device", "web", b"t" * 16),
    }


def test_tokens_alone_need_no_key() -> None:
    rules = Rules(read_rules(SHIPPED).types, (Blocked(None, b"t" * 16, None, None, "a token"),))
    assert len(barring.blocked_tokens(rules, [("login", "a"), ("phone", "")], Path("no key"))) == 2


def test_more_tokens_than_a_list_should_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barring, "MOST_TOKENS", 1)
    rules = Rules(read_rules(SHIPPED).types, (Blocked(None, b"t" * 16, None, None, "a token"),))
    with pytest.raises(TerminalError, match="more than 1 tokens"):
        barring.blocked_tokens(rules, [("login", "a"), ("login", "b")], Path("no key"))


def test_a_check_says_what_differs_and_no_value(tmp_path: Path, key_file: Path) -> None:
    content = blocked(HOTLINE)
    content["types"]["phone"]["owner_limit"] = 5
    del content["types"]["cookie"]
    settings = Settings("root", "", "", "", key_file, SparkSettings("", 0, "", ()), ())
    found = check.preflight(settings, argparse.Namespace(rules=rules_at(tmp_path, content)))
    assert json.loads(json.dumps(found)) == found
    assert found["differences"] == [
        "cookie: no longer declared",
        "phone.owner_limit: 3 -> 5",
        "blocked: 1 more, 0 less",
    ]
    assert found["types"] == ["member_no", "login", "phone", "unionid", "openid", "device"]
    assert "1234" not in str(found)


def test_a_check_needs_no_spark() -> None:
    program = "import sys, spark_jobs.identity.check; print('pyspark' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_todays_and_describes_every_key(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name]())
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == text_of(SCHEMAS[name]()), "run: python -m spark_jobs.identity.schema_files"
    assert (set(TYPE_NOTES), set(BLOCKED_NOTES)) == (set(TYPE_KEYS), set(BLOCKED_KEYS))


def test_an_editor_is_told_where_the_schema_is() -> None:
    first = SHIPPED.read_text(encoding="utf-8").splitlines()[0]
    assert (SHIPPED.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve() == FOLDER / "rules.json"
    assert yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["blocked"] == []
