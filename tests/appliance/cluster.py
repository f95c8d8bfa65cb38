"""A cluster of test hosts, as the tests of the appliance see it: its inventory, its bundle, its control node."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from services.setup import paths
from tests.appliance.hosts import ADDRESSES, NETWORK, Hosts, address_of

HOSTS = ["h1", "h2", "h3"]
CLIENT = f"{NETWORK}.98"  # an address that may ask the profile API, of no host of the cluster
CA = "/etc/databank/databank/ca.crt"
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
                "airflow": 3584,
                "profiles": 1280,
            },
            "profiles_clients": [CLIENT],
            "profiles_load_memory_mb": 256,
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
            "platform_executor_memory_mb": 1024,
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
            "serving": ["h1"],
            "profiles": ["h1"],
            "monitoring": ["h2"],
        }.items()
    },
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Hosts and the control node that changes them; the latter has an unpacked bundle and nothing else."""

    hosts: Hosts
    inventory: Mapping[str, Any]
    said: list[str] = field(default_factory=list)  # what the verbs printed so far
    release: str = "*"  # whose verbs are run, where the control node has more than one

    @property
    def control(self) -> Path:
        """The control node's folder with the bundle and the inventory, as this machine sees it."""
        return self.hosts.root_of("control") / "root"

    @property
    def members(self) -> list[str]:
        """The hosts of the inventory."""
        return sorted(self.inventory["all"]["hosts"])

    @property
    def state(self) -> Path:
        """What the control node remembers."""
        return self.control / "state"

    def host_of(self, group: str) -> str:
        """The first host of a group."""
        return str(min(self.inventory[group]["hosts"]))

    def address_of(self, group: str) -> str:
        """Its address."""
        return ADDRESSES[self.host_of(group)]

    def units_of(self, name: str) -> list[str]:
        """The services of a host that Databank brought."""
        ours = "grep -l 'Written by Databank' /etc/systemd/system/*.service | xargs -n 1 basename"
        debians = "systemctl list-units --plain --no-legend 'postgresql@*-databank.service' | cut -d ' ' -f 1"
        return self.hosts.run(name, f"{ours}; {debians}").stdout.split()

    def other_units_of(self, name: str) -> list[str]:
        """Services beside those: what came from Debian's packages, hardened by us, and the firewall's rules."""
        measured = ["prometheus"] if name in self.inventory["monitoring"]["hosts"] else []
        return ["prometheus-node-exporter", "databank-firewall", *measured]

    def smoke_is_told(self) -> dict[str, Any]:
        """What the smoke needs to know of Kafka and HDFS."""
        servers = ",".join(f"{name}:9092" for name in sorted(self.inventory["kafka"]["hosts"]))
        kafka = {"servers": servers, "user": "smoke", "password": self.secrets()["kafka_smoke_password"]}
        url = f"http://{self.host_of('namenode')}:9870"
        return {"ca_file": CA, "kafka": kafka, "hdfs_url": url, "trino": {}, "airflow": {}}

    def profile_key(self, name: str) -> tuple[str, str]:
        """A new key for the workspace of the tests: its id and the key itself."""
        command = f"databank services profiles key create --name {name} --workspaces grocery --json"
        made = json.loads(self.hosts.run(self.host_of("spark_master"), command).stdout)
        return made["key_id"], made["key"]

    def without_profile_key(self, key_id: str) -> None:
        """Let that key in no more."""
        self.hosts.run(self.host_of("spark_master"), f"databank services profiles key revoke {key_id}")

    def with_host(self, name: str, groups: Sequence[str]) -> Cluster:
        """The same cluster with one host more."""
        inventory = copy.deepcopy(dict(self.inventory))
        inventory["all"]["hosts"][name] = {"ansible_host": address_of(name)}
        for group in groups:
            inventory.setdefault(group, {"hosts": {}})["hosts"][name] = {}
        return replace(self, inventory=inventory)

    def brokers_with_replicas(self) -> set[int]:
        """The numbers of brokers that hold a replica of any topic."""
        tool = "/usr/lib/jvm/java-21-openjdk-amd64/bin/java -cp '/opt/databank/kafka/current/lib/*'"
        admin = "--bootstrap-server h1:9093 --command-config /etc/databank/kafka/admin.properties"
        said = self.hosts.run("h1", f"{tool} org.apache.kafka.tools.TopicCommand {admin} --describe").stdout
        return {int(one) for ids in re.findall(r"Replicas: ([\d,]+)", said) for one in ids.split(",")}

    def measured(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers: a metric's labels and its value, each time."""
        where = self.host_of("monitoring")
        url = f"http://{ADDRESSES[where]}:9090/api/v1/query?query={quote(query)}"
        asked = f"from urllib.request import urlopen; print(urlopen('{url}').read().decode())"
        said = json.loads(self.hosts.run(where, f'python3 -c "{asked}"').stdout)
        found: list[dict[str, Any]] = said["data"]["result"]
        return found

    def write_inventory(self) -> None:
        """Give the control node this inventory."""
        (self.control / "inventory.yml").write_text(yaml.safe_dump(self.inventory))

    def prepare(self, bundle: Path) -> None:
        """Give the control node the bundle, unpacked, and the inventory."""
        self.unpack(bundle)
        shutil.copy(self.hosts.key, self.control / "key")
        self.write_inventory()

    def unpack(self, bundle: Path) -> None:
        """Give the control node a bundle."""
        subprocess.run(["tar", "-xf", str(bundle), "-C", str(self.control)], check=True)

    def of_release(self, release: str) -> Cluster:
        """The same cluster, changed by the verbs of one of the releases that the control node has."""
        return replace(self, release=release)

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a verb with its options, whatever comes of it."""
        verb, *more = words
        command = f"cd /root && databank-{self.release}/databank cluster {verb} -i inventory.yml {' '.join(more)}"
        answer = self.hosts.run("control", command, check=False)
        self.said.append(answer.stdout + answer.stderr)
        return answer

    def run(self, *words: str) -> str:
        """Run a verb that must succeed; what it printed."""
        answer = self.attempt(*words)
        assert answer.returncode == 0, answer.stdout[-4000:] + answer.stderr[-2000:]
        return answer.stdout

    def changed(self, output: str) -> dict[str, int]:
        """How many tasks changed something on each host, by Ansible's recap."""
        found = re.findall(r"^(\w+)\s+: ok=\d+\s+changed=(\d+)", output, re.MULTILINE)
        assert {host for host, _ in found} >= set(self.members)
        return {host: int(number) for host, number in found if host in self.members}

    def secrets(self) -> dict[str, str]:
        """What the vault holds."""
        program = f"databank-{self.release}/.databank/control/bin/ansible-vault"
        command = f"cd /root && {program} view --vault-password-file state/vault.key state/vault.yml"
        shown = self.hosts.run("control", command).stdout
        held: dict[str, str] = yaml.safe_load(shown)["databank_secrets"]
        return held


def build_bundle(folder: Path, release: str | None = None) -> Path:
    """Build this commit's bundle, or another release's; kept and built once a commit. One key signs all of them."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=paths.REPO, check=True, capture_output=True, text=True)
    marker, key = folder / "commit", folder.parent / "appliance-builder"
    if marker.exists() and marker.read_text() == commit.stdout:
        return next(folder.glob("databank-*.tar"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    command = [str(paths.REPO / "databank"), "bundle", "build", "--key", str(key), "--out", str(folder)]
    command += ["--release", release] if release else []
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-3000:]
    marker.write_text(commit.stdout)
    return Path(answer.stdout.strip())


def answer_of(hosts: Hosts, name: str, program: str, told: Any, *, python: str = "python3") -> Any:  # noqa: ANN401 - JSON
    """Run one of `programs` on a host with `told` as JSON on its standard input; the JSON that it printed."""
    home = hosts.root_of(name) / "root"
    shutil.copy(Path(__file__).with_name("programs") / program, home)
    note = home / "told.json"
    note.touch(mode=0o600)
    note.write_text(json.dumps(told))
    try:
        return json.loads(hosts.run(name, f"{python} /root/{program} < /root/told.json").stdout)
    finally:
        note.unlink()
