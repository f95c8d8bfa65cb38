"""The tables of docs/install.md, and what is said of ports in two places."""

from __future__ import annotations

import yaml

from services.cluster import reference
from services.setup import paths

VARIABLES = paths.REPO / "ansible" / "playbooks" / "group_vars" / "all"


def test_the_page_has_the_tables_of_today() -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    assert page.count(", generated -->") == len(reference.tables())
    assert page == reference.with_tables(page), "run: python -m services.cluster.reference"


def test_each_agent_listens_where_the_list_of_ports_says() -> None:
    listed = yaml.safe_load((VARIABLES / "ports.yml").read_text())["databank_ports"]
    agents = yaml.safe_load((VARIABLES / "layout.yml").read_text())["databank_agent_of"]
    measured = {one["measures"]: one["port"] for one in listed if "measures" in one}
    assert {name: int(agent.split(":")[1]) for name, agent in agents.items()} == measured


def test_every_alert_is_shown_to_fire() -> None:
    files = paths.REPO / "ansible" / "roles" / "monitoring" / "files"
    (group,) = yaml.safe_load((files / "alerts.yml").read_text())["groups"]
    tested = yaml.safe_load((files / "alerts.test.yml").read_text())["tests"]
    assert [one["alert"] for one in group["rules"]] == [one["name"] for one in tested]
    assert all(one["promql_expr_test"][-1]["exp_samples"] == [{"labels": "{}", "value": 1}] for one in tested)
