"""A cluster of test hosts, as the tests of the appliance see it: its inventory, its bundle, its control node."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from services.setup import paths
from tests.appliance.hosts import ADDRESSES, Hosts

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
        }.items()
    },
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Hosts and the control node that changes them; the latter has an unpacked bundle and nothing else."""

    hosts: Hosts
    inventory: Mapping[str, Any]
    said: list[str] = field(default_factory=list)  # what the verbs printed so far

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

    def prepare(self, bundle: Path) -> None:
        """Give the control node the bundle, unpacked, and the inventory."""
        subprocess.run(["tar", "-xf", str(bundle), "-C", str(self.control)], check=True)
        shutil.copy(self.hosts.key, self.control / "key")
        (self.control / "inventory.yml").write_text(yaml.safe_dump(self.inventory))

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a verb with its options, whatever comes of it."""
        verb, *more = words
        command = f"cd /root && databank-*/databank cluster {verb} -i inventory.yml {' '.join(more)}"
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
        command = (
            "cd /root && databank-*/.databank/control/bin/ansible-vault view --vault-password-file state/vault.key"
        )
        shown = self.hosts.run("control", f"{command} state/vault.yml").stdout
        held: dict[str, str] = yaml.safe_load(shown)["databank_secrets"]
        return held


def build_bundle(folder: Path) -> Path:
    """Build this commit's bundle with a key made for it; kept in `folder` and built once for each commit."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=paths.REPO, check=True, capture_output=True, text=True)
    marker, key = folder / "commit", folder / "builder"
    if marker.exists() and marker.read_text() == commit.stdout:
        return next(folder.glob("databank-*.tar"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    command = [str(paths.REPO / "databank"), "bundle", "build", "--key", str(key), "--out", str(folder)]
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
