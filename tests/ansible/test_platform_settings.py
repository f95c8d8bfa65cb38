"""The settings that the role writes are settings: every section that an inventory asks for is read as it was meant."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import jinja2
import pytest
import yaml

from spark_jobs.errors import TerminalError
from spark_jobs.settings import LiveSettings, ProfileSettings, Settings, TriggerSettings, parse
from tests.ansible.loading import ANSIBLE

ROLE = ANSIBLE / "roles" / "platform"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
HOSTS = {"namenode": ["n1"], "kafka": ["k1", "k2"], "trino_coordinator": ["t1"], "spark_master": ["s1"], "serving": []}
FACTS = {
    "groups": HOSTS,
    "databank_lake": "hdfs://n1:8020/lake",
    "databank_measured": "/var/lib/databank/measured",
    "databank_data": "/var/lib/databank",
    "databank_release": {"artifacts": [{"component": "spark", "name": "delta", "version": "4.4.0"}]},
    "platform__settings": "/etc/databank/databank",
    "platform__ledger": "postgresql+psycopg://databank@p1/databank",
    "platform__libraries": "/opt/databank/spark/lib",
    "platform_workspaces": [{"name": "grocery", "zone": "Asia/Shanghai", "history_complete_since": "2020-01-01"}],
}


def written(**told: object) -> Settings:
    """The settings of an inventory that tells so much; the role's defaults hold for the rest."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROLE / "templates"), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["regex_replace"] = lambda text, pattern, value: re.sub(pattern, value, text)
    given = {**DEFAULTS, **FACTS, **told}
    text = environment.get_template("settings.toml.j2").render(given)
    return parse(tomllib.loads(text), where="settings.toml.j2")


def test_without_a_word_there_are_no_profiles_and_no_webhook() -> None:
    found = written()
    assert (found.profiles, found.triggers) == (None, None)
    assert found.exports_dir == Path("/etc/databank/databank/exports")
    assert found.kafka_bootstrap_servers == "k1:9092,k2:9092"


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"url": "u"}, ProfileSettings("u", "127.0.0.1:8360", "")),
        ({"url": "u", "address": "0.0.0.0:1", "refusal_tag": "refuses"}, ProfileSettings("u", "0.0.0.0:1", "refuses")),
    ],
)
def test_a_store_of_profiles_and_the_tag_of_refusals(told: dict[str, str], wanted: ProfileSettings) -> None:
    assert written(platform_profiles=told).profiles == wanted
    with pytest.raises(jinja2.UndefinedError):
        written(platform_profiles={"refusal_tag": "refuses"})


def test_a_webhook_of_triggers() -> None:
    told = {"webhook_url": "https://m.example/hook", "webhook_key_file": "/etc/databank/databank/webhook_key"}
    wanted = TriggerSettings("https://m.example/hook", Path("/etc/databank/databank/webhook_key"))
    found = written(platform_triggers=told)
    assert (found.triggers, found.profiles) == (wanted, None)


def test_live_tags_of_the_workspaces_that_are_named() -> None:
    assert written().live is None
    assert written(platform_live_workspaces=["grocery"]).live == LiveSettings(("grocery",))
    with pytest.raises(TerminalError, match="'toys', wanted some of grocery"):
        written(platform_live_workspaces=["grocery", "toys"])


def test_every_option_is_specified_and_has_a_default() -> None:
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    assert set(specs["argument_specs"]["main"]["options"]) == set(DEFAULTS)


def test_the_platform_may_deliver_by_every_group_that_its_jobs_name() -> None:
    users = yaml.safe_load((ANSIBLE / "roles" / "kafka" / "defaults" / "main.yml").read_text(encoding="utf-8"))
    (platform,) = [user for user in users["kafka_users"] if user["name"] == "platform"]
    prefixes = [
        found[1]
        for one in platform["allows"]
        if (found := re.search(r"--transactional-id (\S+) --resource-pattern-type prefixed", one["resource"]))
    ]
    jobs = (ANSIBLE.parent / "spark_jobs").glob("*/*_job.py")
    groups = {name for path in jobs for name in re.findall(r'f"(databank-[a-z-]+)\{', path.read_text(encoding="utf-8"))}
    assert {"databank-tags-", "databank-audiences-", "databank-triggers-"} <= groups
    assert not [name for name in groups if not name.startswith(tuple(prefixes))]
