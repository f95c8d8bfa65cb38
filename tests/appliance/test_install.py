"""Campaign: from the bundle alone onto three virgin hosts that have no way out: preflight, install, again, verify."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from services.setup import paths
from tests.appliance.hosts import ADDRESSES, Hosts

pytestmark = pytest.mark.campaign

HOSTS = ["h1", "h2", "h3"]
INVENTORY = {
    "all": {
        "vars": {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": "/root/key",
            "base_clock_is_foreign": True,
            "databank_memory_mb": {
                "kafka": 640,
                "namenode": 512,
                "datanode": 512,
                "metastore": 640,
                "spark_worker": 2048,
            },
            "kafka_heap_mb": 384,
            "hdfs_namenode_heap_mb": 384,
            "hdfs_datanode_heap_mb": 256,
            "hdfs_reserved_gb": 1,
            "hive_metastore_heap_mb": 384,
            "spark_daemon_heap_mb": 256,
            "spark_worker_memory_mb": 1536,
            "spark_worker_cores": 2,
            "trino_heap_mb": 1280,
            "platform_driver_memory_mb": 1024,
            "platform_workspaces": [
                {"name": "grocery", "zone": "America/New_York", "history_complete_since": "2017-01-01"}
            ],
        },
        "hosts": {name: {"ansible_host": ADDRESSES[name]} for name in HOSTS},
    },
    **{
        group: {"hosts": {host: {} for host in hosts}}
        for group, hosts in {
            "kafka": HOSTS,
            "datanode": HOSTS,
            "namenode": ["h1"],
            "spark_master": ["h1"],
            "spark_worker": ["h1", "h2"],
            "postgres": ["h2"],
            "metastore": ["h2"],
            "trino_coordinator": ["h3"],
            "airflow": ["h3"],
        }.items()
    },
}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    if os.geteuid() != 0 or not shutil.which("systemd-nspawn"):
        pytest.skip("hosts are made by root with systemd-nspawn (package systemd-container)")
    made = Hosts(tmp_path_factory.mktemp("hosts") / f"i{os.getpid()}")
    try:
        made.up(["control", *HOSTS])
        bundle = build(tmp_path_factory.mktemp("bundle"))
        control = made.root_of("control") / "root"
        subprocess.run(["tar", "-xf", str(bundle), "-C", str(control)], check=True)
        shutil.copy(made.key, control / "key")
        (control / "inventory.yml").write_text(yaml.safe_dump(INVENTORY))
        yield made
    finally:
        made.down()


def build(folder: Path) -> Path:
    key = folder / "builder"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    command = [str(paths.REPO / "databank"), "bundle", "build", "--key", str(key), "--out", str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return Path(answer.stdout.strip())


def cluster(hosts: Hosts, *words: str) -> str:
    """Run a verb on the control node, which has the unpacked bundle and nothing else; what it printed."""
    verb, *more = words
    answer = hosts.run(
        "control", f"cd /root && databank-*/databank cluster {verb} -i inventory.yml {' '.join(more)}", check=False
    )
    assert answer.returncode == 0, answer.stdout[-4000:] + answer.stderr[-2000:]
    return answer.stdout


def changed(output: str) -> dict[str, int]:
    """How many tasks changed something on each host, by Ansible's recap."""
    found = re.findall(r"^(\w+)\s+: ok=\d+\s+changed=(\d+)", output, re.MULTILINE)
    assert {host for host, _ in found} == set(HOSTS)
    return {host: int(number) for host, number in found}


def test_preflight_passes_and_changes_nothing(hosts: Hosts) -> None:
    assert set(changed(cluster(hosts, "preflight")).values()) == {0}


def test_a_check_on_virgin_hosts_ends_without_error_and_leaves_nothing(hosts: Hosts) -> None:
    cluster(hosts, "install", "--check")
    for name in HOSTS:
        assert hosts.run(name, "ls /opt /etc/databank", check=False).stdout.strip() == "/opt:"


def test_all_components_are_installed_and_nothing_tries_to_leave(hosts: Hosts) -> None:
    assert all(number > 50 for number in changed(cluster(hosts, "install")).values())
    assert hosts.packets_that_tried_to_leave() == 0


def test_a_second_run_changes_nothing(hosts: Hosts) -> None:
    assert changed(cluster(hosts, "install")) == dict.fromkeys(HOSTS, 0)


def test_a_drift_report_of_a_live_cluster_is_empty(hosts: Hosts) -> None:
    output = cluster(hosts, "install", "--check", "--diff")
    assert changed(output) == dict.fromkeys(HOSTS, 0)
    assert "+++ " not in output


def test_every_door_opens_and_no_trace_is_left(hosts: Hosts) -> None:
    output = cluster(hosts, "verify")
    assert output.count('"passed": true') == 4, output
    answer = hosts.run("h1", "ls /var/lib/databank/databank/spark", check=False)
    assert "smoke" not in answer.stdout


def test_from_outside_only_the_open_doors_answer(hosts: Hosts) -> None:
    hosts.up(["outsider"])
    listed = yaml.safe_load((paths.REPO / "ansible/playbooks/group_vars/all/ports.yml").read_text())["databank_ports"]
    probe = (
        "import json, socket, sys\n"
        "found = {}\n"
        "for host, port in json.loads(sys.argv[1]):\n"
        "    try:\n"
        "        socket.create_connection((host, port), timeout=1).close(); found[f'{host}:{port}'] = 'open'\n"
        "    except OSError as error:\n"
        "        found[f'{host}:{port}'] = type(error).__name__\n"
        "print(json.dumps(found))\n"
    )
    (hosts.root_of("outsider") / "root" / "probe.py").write_text(probe)
    wanted = [(name, one["port"]) for name in HOSTS for one in listed if one.get("protocol", "tcp") == "tcp"]
    found = json.loads(hosts.run("outsider", f"python3 /root/probe.py '{json.dumps(wanted)}'").stdout)
    opened = {address for address, said in found.items() if said == "open"}
    assert opened == {"h1:22", "h2:22", "h3:22", "h3:8443", "h3:8080"}


def test_wrong_passwords_and_strangers_are_refused(hosts: Hosts) -> None:
    trino = (
        "import ssl, sys, urllib.request, base64\n"
        "request = urllib.request.Request('https://h3:8443/v1/statement', b'SELECT 1', {'X-Trino-User': 'bi',"
        " 'Authorization': 'Basic ' + base64.b64encode(b'bi:wrong').decode()})\n"
        "try:\n"
        "    urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=20)\n"
        "except urllib.error.HTTPError as error:\n"
        "    print(error.code)\n"
        "try:\n"
        "    urllib.request.urlopen('https://h3:8443/v1/info', timeout=20)\n"
        "except urllib.error.URLError as error:\n"
        "    print(type(error.reason).__name__)\n"
    )
    (hosts.root_of("outsider") / "root" / "trino.py").write_text(trino)
    assert hosts.run("outsider", "python3 /root/trino.py").stdout.split() == ["401", "SSLCertVerificationError"]
