"""What the control node remembers of one cluster: ids that never change, secrets in a vault, its certificates.

Everything lies in the folder `state` beside the inventory. It is in the backup, and losing it means that the cluster
can be run on, but no longer be changed.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.setup import paths
from spark_jobs.errors import TerminalError

_FORMAT = 1
_CONTROLLERS = 3  # they outlive the loss of one of them; brokers that come later are brokers alone
_SHORTEST = 12
_PLAIN = re.compile(rf"[\w-]{{{_SHORTEST},}}", re.ASCII)
_GENERATIONS = 5  # of former secrets: what a support bundle must not show
_RENEWED = frozenset({"password", "hex"})  # the kinds that can be changed while the cluster runs
_SECRETS = paths.REPO / "ansible" / "secrets.yml"


@dataclass(frozen=True, slots=True)
class State:
    """The folder `state` of a cluster; `key_elsewhere` is where its owner keeps the vault's key, None for in it."""

    folder: Path
    key_elsewhere: Path | None = None

    @property
    def facts_file(self) -> Path:
        """Cluster, node and directory ids (JSON, which is YAML too: Ansible reads it as variables)."""
        return self.folder / "cluster.json"

    @property
    def vault_file(self) -> Path:
        """The secrets, encrypted."""
        return self.folder / "vault.yml"

    @property
    def vault_key(self) -> Path:
        """What opens the vault; move it elsewhere and name it by --vault-key if the state lies on a shared disk."""
        return self.key_elsewhere or self.folder / "vault.key"

    @property
    def authority(self) -> Path:
        """The cluster's certificates and the authority that signs them."""
        return self.folder / "tls"


def prepare(state: State, groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Facts for all hosts of the inventory; what is known stays, what is new gets ids. One writer at a time.

    TerminalError where the state cannot be read: its ids are on disks of the cluster, so none may be invented.
    """
    state.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = _read(state)
    for group in ("kafka", "trino_coordinator", "trino_worker"):
        _number(facts["nodes"].setdefault(group, {}), groups.get(group, ()))
    brokers = groups.get("kafka", ())
    # Until a broker was formatted with them, the inventory may still change its mind.
    if brokers and not ("kafka_controllers" in facts and any((state.folder / "initialised").glob("kafka-*"))):
        facts["kafka_controllers"] = sorted(brokers)[: _CONTROLLERS if len(brokers) >= _CONTROLLERS else 1]
    for host in brokers:
        facts["kafka_directories"].setdefault(host, _kafka_id())
    write_private(state.facts_file, json.dumps(facts, indent=2, sort_keys=True) + "\n")
    _ensure_key(state)
    _ensure_secrets(state)
    return facts


def _read(state: State) -> dict[str, Any]:
    if not state.facts_file.exists():
        if any(path.exists() for path in (state.vault_file, state.authority)):
            raise TerminalError(
                f"{state.facts_file} is missing, but {state.folder} holds a cluster's secrets; bring the file back "
                "from a backup: its ids are on the cluster's disks"
            )
        return {
            "format": _FORMAT,
            "cluster_id": str(uuid.uuid4()),
            "kafka_cluster_id": _kafka_id(),
            "hdfs_cluster_id": f"CID-{uuid.uuid4()}",
            "nodes": {},
            "kafka_directories": {},
        }
    try:
        facts: dict[str, Any] = json.loads(state.facts_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TerminalError(f"{state.facts_file} cannot be read ({error}); bring it back from a backup") from error
    if facts.get("format") != _FORMAT:
        raise TerminalError(f"{state.facts_file} has format {facts.get('format')}, wanted {_FORMAT}")
    return facts


def _number(known: dict[str, int], hosts: Sequence[str]) -> None:
    """Give each new host the next number; a number is never used again, whatever order the inventory has."""
    for host in hosts:
        known.setdefault(host, max(known.values(), default=0) + 1)


def _kafka_id() -> str:
    """A UUID as Kafka writes it; a leading dash would read as an option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _ensure_key(state: State) -> None:
    if not state.vault_key.exists():
        if state.vault_file.exists():
            raise TerminalError(
                f"{state.vault_key} is missing, and nothing else opens {state.vault_file}; bring it back"
            )
        write_private(state.vault_key, secrets.token_urlsafe(32) + "\n")


def _ensure_secrets(state: State) -> None:
    """Make the secrets that are missing; those that are there, made here or chosen by the customer, stay."""
    wanted = yaml.safe_load(_SECRETS.read_text(encoding="utf-8"))
    known = yaml.safe_load(_vault(state, "view", str(state.vault_file))) if state.vault_file.exists() else {}
    have = known.get("databank_secrets", {})
    _require_plain({name: str(held) for name, held in have.items() if wanted.get(name) in _RENEWED})
    missing = {name: _MAKERS[kind]() for name, kind in wanted.items() if name not in have}
    if missing:
        _write_secrets(state, {**have, **missing}, known.get("databank_secrets_before", []))


def _require_plain(passwords: Mapping[str, str]) -> None:
    if odd := sorted(name for name, held in passwords.items() if not _PLAIN.fullmatch(held)):
        raise TerminalError(
            f"the vault's {', '.join(odd)}: found another character than letters, digits, _ and -, or fewer than "
            f"{_SHORTEST}; passwords stand in settings, addresses and SQL, so choose another"
        )


def _write_secrets(state: State, held: Mapping[str, str], before: Sequence[Mapping[str, str]]) -> None:
    """`before` are former generations, newest first: where a renewal broke off, hosts still have some of them."""
    partial = state.vault_file.with_suffix(".partial")
    kept = [dict(generation) for generation in before[:_GENERATIONS]]
    text = yaml.safe_dump({"databank_secrets": dict(held), "databank_secrets_before": kept})
    _vault(state, "encrypt", "--output", str(partial), "-", given=text)
    partial.rename(state.vault_file)


def renew_secrets(state: State) -> list[str]:
    """Make the secrets anew that can be changed while the cluster runs; their names.

    Not the keys that data were encrypted or tokenised with: what was written with them could not be read any more.
    """
    wanted = yaml.safe_load(_SECRETS.read_text(encoding="utf-8"))
    known = yaml.safe_load(_vault(state, "view", str(state.vault_file)))
    have, before = known["databank_secrets"], known.get("databank_secrets_before", [])
    renewed = {name: _MAKERS[kind]() for name, kind in wanted.items() if kind in _RENEWED}
    former = {name: have[name] for name in renewed if name in have}
    _write_secrets(state, {**have, **renewed}, [former, *before])
    return sorted(renewed)


def forget_data(state: State, host: str | None = None) -> None:
    """Forget that data were made, on one host or on all: where they are gone, an installation may make new ones."""
    for marker in (state.folder / "initialised").glob("*"):  # COMPONENT-HOST
        if host in {None, marker.name.partition("-")[2]}:
            marker.unlink()


_MAKERS = {
    "password": lambda: secrets.token_urlsafe(24),
    "hex": lambda: secrets.token_hex(32),
    "base64": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    "fernet": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
}


def _vault(state: State, verb: str, *arguments: str, given: str = "") -> str:
    command = [
        str(Path(sys.executable).with_name("ansible-vault")),
        verb,
        "--vault-password-file",
        str(state.vault_key),
    ]
    finished = subprocess.run([*command, *arguments], input=given, capture_output=True, text=True)
    if finished.returncode:
        said = finished.stderr.strip().splitlines()[-1:]
        raise TerminalError(
            f"the vault {state.vault_file} cannot be used: {' '.join(said)}; is {state.vault_key} its key?"
        )
    return finished.stdout


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.touch(mode=0o600)
    partial.write_text(text, encoding="utf-8")
    partial.rename(path)
