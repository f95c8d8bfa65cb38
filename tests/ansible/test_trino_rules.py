"""Trino's access rules: JSON on every host, and nobody may stop a server but on the one that leaves."""

from __future__ import annotations

import json

import jinja2
import pytest

from tests.ansible.loading import ANSIBLE

TEMPLATES = ANSIBLE / "roles" / "trino" / "templates"


@pytest.mark.parametrize(("told", "allowed"), [({}, ["read"]), ({"trino__may_end": True}, ["read", "write"])])
def test_only_a_worker_that_leaves_may_be_stopped(told: dict[str, bool], allowed: list[str]) -> None:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined)
    environment.filters["to_json"] = json.dumps
    rules = json.loads(environment.get_template("rules.json.j2").render(told))
    assert rules["system_information"] == [{"user": "admin", "allow": allowed}, {"allow": []}]
