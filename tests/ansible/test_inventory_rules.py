"""An inventory that cannot be installed is refused before any host is touched, all that is wrong in one message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.loading import ANSIBLE, load

rules = load("inventory_rules/filter_plugins/inventory_rules.py")
GROUP_VARS = ANSIBLE / "playbooks" / "group_vars"
SIZING = yaml.safe_load((GROUP_VARS / "all" / "sizing.yml").read_text())["databank_sizing"]
PLAY = [{"name": "Rules", "hosts": "all", "gather_facts": False, "roles": ["inventory_rules"]}]

FAULTY = {
    "all": {
        "hosts": {
            "h1": {"ansible_host": "192.0.2.11", "host_memory_mb": 3071, "databank_memory_mb": {"kafka": 1536}},
            "h2": {
                "ansible_host": "192.0.2.12",
                "host_memory_mb": 2048,
                "databank_memory_mb": {"kafka": 512, "kakfa": 1},
                "kafka_heap_mb": 456,
            },
            "h3": {"ansible_host": "192.0.2.12"},
            "h4": {"ansible_host": "192.0.2.14"},
        },
    },
    "kafka": {"hosts": {"h1": {}, "h2": {}}},
    "datanode": {"hosts": {"h1": {}, "h2": {}}},
    "metastore": {"hosts": {"h3": {}, "h4": {}}},
    "kafak": {"hosts": {"h3": {}}},
    "zookeeper": {"hosts": {"h3": {}}},
}
PORTS = [
    {"name": "kafka_clients", "port": 9092, "group": "kafka"},
    {"name": "datanode_web", "port": 9090, "last": 9094, "group": "datanode"},
    {"name": "time", "port": 9092, "group": "all", "protocol": "udp"},
]
EXPECTED = [
    "cannot be installed (10 to correct)",
    "- inventory: unknown group kafak; wanted: groups of airflow, datanode, kafka, ",
    "- h5: in no group; wanted: one group or more. Put it into the groups of what it shall run, or remove it.",
    "- inventory: kafka has 2 hosts; wanted: 1 host, or 3 and more. Add a host",
    "- inventory: metastore has 2 hosts (h3, h4); wanted: 1 host. Leave it on one of them.",
    "- inventory: h2, h3 have the address 192.0.2.12; wanted: an address of its own for each host.",
    "- inventory: no host in namenode, postgres, spark_master, spark_worker, trino_coordinator, airflow; wanted",
    "- h1: host_memory_mb is 3071; wanted: 3072 MB for kafka 1536, datanode 1536. Place components on other hosts",
    "- h2: kafka has 512 MB for kafka_heap_mb 456; wanted: 513 MB: an eighth more than these. Raise databank_memory_mb",
    "- h2: databank_memory_mb names kakfa; wanted: components of airflow, ",
    "- h1: port 9092/tcp is that of kafka_clients and datanode_web; wanted: one service for a port. Place them",
]


def ansible_playbook(folder: Path, inventory: Path) -> subprocess.CompletedProcess[str]:
    """The role alone, with the variables that it has in the project's own playbooks."""
    (folder / "rules.yml").write_text(yaml.safe_dump(PLAY))
    (folder / "group_vars").symlink_to(GROUP_VARS)
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(folder / "rules.yml")]
    environment = {"ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "ANSIBLE_HOME": str(folder / "home")}
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


def test_every_problem_is_named_in_one_message(tmp_path: Path) -> None:
    faulty = yaml.safe_load(yaml.safe_dump(FAULTY))
    faulty["all"]["hosts"]["h5"] = {"ansible_host": "192.0.2.15"}
    faulty["all"]["hosts"]["h1"]["databank_ports"] = PORTS
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(faulty))
    answer = ansible_playbook(tmp_path, tmp_path / "hosts.yml")
    assert answer.returncode != 0
    assert answer.stdout.count("fatal:") == 1
    said = " ".join((answer.stdout + answer.stderr).split())
    assert [text for text in EXPECTED if text not in said] == []


@pytest.mark.parametrize("example", ["one_host", "three_hosts", "ten_hosts"])
def test_the_examples_are_inventories_that_can_be_installed(tmp_path: Path, example: str) -> None:
    answer = ansible_playbook(tmp_path, ANSIBLE / "inventories" / "example" / f"{example}.yml")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def problems(groups: dict[str, list[str]], **own: Any) -> list[str]:
    """What is found where every host has these variables."""
    hosts = sorted({host for members in groups.values() for host in members})
    variables = {
        host: {
            "ansible_host": host,
            "group_names": [group for group in groups if host in groups[group]],
            "databank_sizing": SIZING,
            "databank_ports_here": [],
            **own,
        }
        for host in hosts
    }
    kinds = {"single": ["namenode"], "needed": [], "reserved": []}
    return [one["found"] for one in rules.inventory_problems({"all": hosts, **groups}, variables, kinds)]


@pytest.mark.parametrize(
    ("brokers", "is_good"), [(0, True), (1, True), (2, False), (3, True), (4, True), (5, True)], ids=str
)
def test_kafka_has_one_host_or_enough_to_lose_one(brokers: int, is_good: bool) -> None:
    assert (problems({"namenode": ["h1"], "kafka": [f"h{n}" for n in range(brokers)]}) == []) is is_good


def test_memory_that_is_just_enough_is_enough() -> None:
    placed = {"kafka": ["h1"], "namenode": ["h1"]}
    assert problems(placed, host_memory_mb=3072) == []
    assert problems(placed, host_memory_mb=3071) == ["host_memory_mb is 3071"]
    assert problems(placed, host_memory_mb=3071, databank_memory_mb={"kafka": 1535}) == []


def test_heaps_have_the_defaults_of_their_roles_and_fit_into_what_components_need() -> None:
    defaults: dict[str, Any] = {}
    for path in ANSIBLE.glob("roles/*/defaults/main.yml"):
        defaults |= yaml.safe_load(path.read_text()) or {}
    needs = {one["name"]: one["memory_mb"] for one in SIZING}
    for name, heaps in rules.HEAPS.items():
        assert [defaults[variable] for variable, _ in heaps] == [default for _, default in heaps]
        assert problems({name: ["h1"]}, host_memory_mb=needs[name]) == []


def test_as_many_drivers_as_the_pool_has_slots_fit_beside_airflow() -> None:
    placed, driver = {"airflow": ["h1"]}, {"platform_driver_memory_mb": 1024}
    assert problems(placed) == []
    assert problems(placed, **driver, airflow_spark_slots=2, databank_memory_mb={"airflow": 3584}) == []
    too_many = problems(placed, **driver, airflow_spark_slots=3, databank_memory_mb={"airflow": 3584})
    assert too_many == ["airflow has 3584 MB for airflow_spark_slots 3"]
    defaults = {
        name: value
        for role in ("airflow", "platform")
        for name, value in yaml.safe_load((ANSIBLE / "roles" / role / "defaults" / "main.yml").read_text()).items()
    }
    named = {"airflow_spark_slots": 2, "platform_driver_memory_mb": 2048}
    assert {name: defaults[name] for name in named} == named  # what the rules take where an inventory says nothing


def test_an_executor_that_no_worker_can_give_is_refused() -> None:
    placed = {"spark_worker": ["h1"], "kafka": ["h1"]}
    assert problems(placed, platform_executor_memory_mb=1536, spark_worker_memory_mb=1536) == []
    too_much = problems(placed, platform_executor_memory_mb=1537, spark_worker_memory_mb=1536)
    assert too_much == ["platform_executor_memory_mb is 1537"]


def test_a_port_that_shall_stay_open_is_a_port() -> None:
    good = [10050, {"port": 5666, "from": "192.0.2.0/24"}, {"port": "161", "from": "2001:db8::1"}]
    assert problems({"kafka": ["h1"]}, base_open_ports=good) == []
    bad = [0, "ssh", {"port": 161, "from": "everywhere"}, {"form": "192.0.2.1", "port": 1}, {"from": "192.0.2.1"}]
    assert len(problems({"kafka": ["h1"]}, base_open_ports=bad)) == len(bad)


def test_who_may_ask_for_profiles_is_an_address_or_a_network() -> None:
    assert problems({"profiles": ["h1"]}, profiles_clients=["192.0.2.7", "192.0.2.0/24", "2001:db8::/64"]) == []
    assert problems({"profiles": ["h1"]}, profiles_clients=["shop", "192.0.2.1/24"]) == [
        "profiles_clients has shop",
        "profiles_clients has 192.0.2.1/24",
    ]


def test_the_profile_api_and_its_loader_fit_into_their_memory() -> None:
    assert problems({"profiles": ["h1"]}) == []
    assert problems({"profiles": ["h1"]}, profiles_processes=3) == ["profiles has 1536 MB"]
    assert problems({"profiles": ["h1"]}, profiles_load_memory_mb=513) == ["profiles has 1536 MB"]
    assert problems({"profiles": ["h1"]}, profiles_processes=3, databank_memory_mb={"profiles": 1728}) == []
    defaults = yaml.safe_load((ANSIBLE / "roles/profiles/defaults/main.yml").read_text())
    assert (defaults["profiles_processes"], defaults["profiles_load_memory_mb"]) == (2, 512)
    # What the units are limited to is what the rules add up.
    limit = yaml.safe_load((ANSIBLE / "roles/profiles/vars/main.yml").read_text())["profiles__api_mb"]
    assert f"{rules.PROFILES_MB} + {rules.PROFILE_PROCESS_MB} * profiles_processes" in limit


@pytest.mark.parametrize(
    ("workspace", "says"),
    [
        ({"name": "grocery", "zone": "Asia/Shanghai", "history_complete_since": "2017-01-01"}, None),
        ({"name": "grocery", "history_complete_since": "2017-01-01"}, "zone is None"),
        ({"name": "Grocery", "zone": "Asia/Shangai"}, "name is Grocery, zone is Asia/Shangai, history_complete_since"),
        ("grocery", "name is None"),
    ],
)
def test_a_workspace_without_what_it_needs_is_refused(workspace: object, says: str | None) -> None:
    found = problems({"kafka": ["h1"]}, platform_workspaces=[workspace])
    assert len(found) == (says is not None)
    assert says is None or says in found[0]


@pytest.mark.parametrize(
    ("workers", "own", "is_good"),
    [
        (1, {"spark_worker_memory_mb": 3072}, True),
        (1, {"spark_worker_memory_mb": 3071}, False),
        (1, {"spark_worker_cores": 1}, False),
        (2, {"spark_worker_memory_mb": 2048, "spark_worker_cores": 1}, True),
        (2, {"spark_worker_memory_mb": 2048, "services_ingest_cores": 2}, False),
    ],
)
def test_beside_the_stream_another_job_finds_room(workers: int, own: dict[str, int], is_good: bool) -> None:
    placed = {"serving": ["h1"], "spark_worker": [f"h{n}" for n in range(1, workers + 1)]}
    assert ([one for one in problems(placed, **own) if "stream" in one] == []) is is_good


def test_one_port_for_two_protocols_is_no_conflict() -> None:
    both = [{"name": "a", "port": 53, "group": "all"}, {"name": "b", "port": 53, "group": "all", "protocol": "udp"}]
    assert problems({"kafka": ["h1"]}, databank_ports_here=both) == []


def test_ranges_that_overlap_are_said_once() -> None:
    ranges = [
        {"name": "a", "port": 7000, "last": 7009, "group": "all"},
        {"name": "b", "port": 7005, "last": 7020, "group": "all"},
    ]
    assert problems({"kafka": ["h1"]}, databank_ports_here=ranges) == ["port 7005/tcp is that of a and b"]


def test_every_port_is_of_a_component_that_has_a_size() -> None:
    listed = yaml.safe_load((GROUP_VARS / "all" / "ports.yml").read_text())["databank_ports"]
    assert {one["group"] for one in listed} - {"all"} <= {one["group"] for one in SIZING}
