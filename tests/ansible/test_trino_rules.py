"""Trino's access rules: JSON on every host, and nobody may stop a server but on the one that leaves."""

from __future__ import annotations

import json
import re

import jinja2
import pytest

from tests.ansible.loading import ANSIBLE

TEMPLATES = ANSIBLE / "roles" / "trino" / "templates"


def rules_of(**told: object) -> dict[str, list[dict[str, object]]]:
    """The rules that the role writes, with its defaults but for what is told."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined)
    environment.filters["to_json"] = json.dumps
    text = environment.get_template("rules.json.j2").render({"trino_sensitive_users": [], **told})
    found: dict[str, list[dict[str, object]]] = json.loads(text)
    return found


def may_read(rules: dict[str, list[dict[str, object]]], user: str, name: str) -> bool:
    """What the first table rule that matches says, as Trino reads them: patterns match whole names."""
    asked = dict(zip(("user", "catalog", "schema", "table"), (user, "lake", *name.split(".")), strict=True))
    for rule in rules["tables"]:
        if all(re.fullmatch(str(rule.get(part, ".*")), value) for part, value in asked.items()):
            return "SELECT" in rule["privileges"]  # type: ignore[operator]
    return False


@pytest.mark.parametrize("user", ["bi", "admin"])
def test_sensitive_tags_are_for_those_who_were_named(user: str) -> None:
    plain = (
        *("tags.current_tags", "tags.change_history", "tags.populations", "tags.audience_counts"),
        *("tags.audience_history", "tags.trigger_states", "core.orders", "marts.sales_by_month"),
    )
    sensitive = (
        *("tags.sensitive_tags", "tags.sensitive_changes", "tags.sensitive_audiences"),
        *("tags.sensitive_audience_counts", "tags.sensitive_audience_history"),
    )
    behind = (  # views alone read these
        *("tags.person_tags", "tags.changes", "tags.timers", "tags.publications"),
        *("tags.refused", "tags.refused_persons"),
        *("tags.audiences", "tags.audience_changes", "tags.audience_publications", "tags.triggers"),
    )
    nobody, named = rules_of(), rules_of(trino_sensitive_users=["care", user])
    for name in (*plain, *sensitive, *behind):
        assert may_read(nobody, user, name) is (name in plain), name
        assert may_read(named, user, name) is (name in (*plain, *sensitive)), name
        assert may_read(nobody, "platform", name), "the views' owner reads what they are made of"


@pytest.mark.parametrize(("told", "allowed"), [({}, ["read"]), ({"trino__may_end": True}, ["read", "write"])])
def test_only_a_worker_that_leaves_may_be_stopped(told: dict[str, bool], allowed: list[str]) -> None:
    rules = rules_of(**told)
    assert rules["system_information"] == [{"user": "admin", "allow": allowed}, {"allow": []}]
