"""What the firewall of a host opens: its own SSH port, what is placed there, and what the inventory opens beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.ansible.loading import ANSIBLE

TEMPLATE = ANSIBLE / "roles" / "base" / "templates" / "firewall.nft.j2"
OPEN = [10050, {"port": 5666, "from": "192.0.2.0/24"}, {"port": 5667, "from": "2001:db8::1"}]
INVENTORY = {
    "all": {
        "vars": {
            "ansible_connection": "local",
            "base_open_ports": [],
            "profiles_clients": ["192.0.2.128/25", "2001:db8::/64"],
        },
        "hosts": {
            "h1": {"ansible_host": "192.0.2.11", "ansible_port": "2222", "base_open_ports": OPEN},
            "h2": {"ansible_host": "192.0.2.12"},
        },
    },
    "kafka": {"hosts": {"h1": {}}},
    "profiles": {"hosts": {"h2": {}}},
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The file of each host."""
    folder = tmp_path_factory.mktemp("firewall")
    write = {"src": str(TEMPLATE), "dest": f"{folder}/{{{{ inventory_hostname }}}}.nft", "mode": "0600"}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.template": write}]}]
    (folder / "play.yml").write_text(yaml.safe_dump(play))
    (folder / "hosts.yml").write_text(yaml.safe_dump(INVENTORY))
    (folder / "group_vars").symlink_to(ANSIBLE / "playbooks" / "group_vars")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    environment = {"ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "ANSIBLE_HOME": str(folder / "home")}
    environment["ANSIBLE_PYTHON_INTERPRETER"] = sys.executable
    command = [program, "-i", str(folder / "hosts.yml"), str(folder / "play.yml")]
    answer = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return {host: (folder / f"{host}.nft").read_text() for host in ("h1", "h2")}


def test_ssh_is_open_where_the_inventory_reaches_it(rules: dict[str, str]) -> None:
    found = [re.findall(r'tcp dport (\d+) accept comment "ssh"', rules[host]) for host in ("h1", "h2")]
    assert found == [["2222"], ["22"]]


def test_what_the_inventory_opens_is_open_on_that_host_alone(rules: dict[str, str]) -> None:
    opened = [line.strip() for line in rules["h1"].splitlines() if "base_open_ports" in line and "accept" in line]
    assert opened == [
        'tcp dport 10050 accept comment "base_open_ports"',
        'ip saddr 192.0.2.0/24 tcp dport 5666 accept comment "base_open_ports"',
        'ip6 saddr 2001:db8::1 tcp dport 5667 accept comment "base_open_ports"',
    ]
    assert "10050" not in rules["h2"]


def test_a_host_opens_what_is_placed_on_it(rules: dict[str, str]) -> None:
    wanted = 'ip saddr @cluster tcp dport 9092 accept comment "kafka_clients"'
    assert [wanted in text for text in rules.values()] == [True, False]


def test_profiles_are_open_to_the_cluster_and_to_the_clients_that_the_inventory_names(rules: dict[str, str]) -> None:
    opened = [[line.strip() for line in text.splitlines() if '"profiles"' in line] for text in rules.values()]
    assert opened == [
        [],
        [
            'ip saddr @cluster tcp dport 8360 accept comment "profiles"',
            'ip saddr 192.0.2.128/25 tcp dport 8360 accept comment "profiles"',
            'ip6 saddr 2001:db8::/64 tcp dport 8360 accept comment "profiles"',
        ],
    ]


def test_other_rules_have_another_mark(rules: dict[str, str]) -> None:
    marks = [re.findall(r'^    comment "([0-9a-f]{64})"$', text, re.MULTILINE) for text in rules.values()]
    assert [len(one) for one in marks] == [1, 1]
    assert marks[0] != marks[1]
