"""`./databank cluster VERB -i INVENTORY`: runs one playbook of the appliance on the hosts of an inventory."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.bundle import layout
from services.bundle.verify import Verified, verify
from services.cluster import authority, backups, state
from services.cluster.authority import Place
from services.cluster.state import State
from services.cluster.variables import unknown
from services.cluster.verbs import VERBS, asked
from services.setup import paths
from spark_jobs.errors import TerminalError, ended

_ANSIBLE = paths.REPO / "ansible"


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-i", "--inventory", type=Path, required=True, metavar="FILE", help="hosts and their groups")
    common.add_argument("--bundle", type=Path, default=paths.REPO, metavar="DIR", help="unpacked bundle; default: this")
    common.add_argument("--signers", type=Path, metavar="FILE", help="allowed signers of bundles; default: as known")
    common.add_argument("--vault-key", type=Path, metavar="FILE", help="what opens the vault; default: beside it")
    common.add_argument("--check", action="store_true", help="change nothing; say what would be changed")
    common.add_argument("--diff", action="store_true", help="show the changes in files")
    parser = argparse.ArgumentParser(prog="./databank cluster", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        one = verbs.add_parser(name, parents=[common], help=verb.purpose, description=verb.purpose)
        for argument, options in verb.arguments.items():
            one.add_argument(argument, **options)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one verb; the playbook's own exit status, or 1, 75, 70, 2 and 130 as everywhere."""
    args = _parser().parse_args(argv)
    return ended(f"cluster {args.verb}", lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    inventory = args.inventory.resolve()
    hosts = _hosts_of(inventory)
    known = State(inventory.parent / "state", args.vault_key)
    if args.verb == "restore":
        _bring_back(args, known)
    bundle = _hold_to_signature(args, known)
    state.prepare(known, hosts["groups"])
    for name in (*VERBS[args.verb].first(known, args, bundle), args.verb):
        if not args.check:
            VERBS[name].before(known, args, bundle)
        authority.ensure(known.authority, _certificates(hosts["groups"], hosts["addresses"]))
        if status := _play(name, args, known):
            return status
        if not args.check:
            VERBS[name].after(known, args, bundle)
    return 0


def _bring_back(args: argparse.Namespace, known: State) -> None:
    if not args.check:
        backups.bring_back(known, args.from_folder)
    elif not known.facts_file.exists():
        raise TerminalError(f"{known.folder} is not there, and --check may not bring it back; restore without it")


def _play(name: str, args: argparse.Namespace, known: State) -> int:
    """Run one playbook; its exit status."""
    inventory = args.inventory.resolve()
    command = [_program("ansible-playbook"), "-i", str(inventory), str(_ANSIBLE / "playbooks" / f"{name}.yml")]
    command += ["-e", f"@{known.vault_file}", "--vault-password-file", str(known.vault_key)]
    told = {"databank_bundle": str(args.bundle.resolve()), "databank_state": str(known.folder)}
    told["databank_inventory"] = str(inventory)
    command += [
        "-e",
        json.dumps({**told, "databank_asked": asked(args)}),
        *(["--check"] if args.check else []),
        *(["--diff"] if args.diff else []),
    ]
    return subprocess.run(command, env=_environment(known)).returncode


def _certificates(groups: Mapping[str, list[str]], addresses: Mapping[str, str]) -> dict[str, Place]:
    """One for each host, and for each broker one of its own: it may do everything in Kafka, other services may not."""
    wanted = {host: Place(host, address) for host, address in addresses.items()}
    return wanted | {f"kafka@{host}": Place(host, addresses[host]) for host in groups.get("kafka", ())}


def _hosts_of(inventory: Path) -> dict[str, Any]:
    """The inventory's groups and each host's address, as Ansible reads them."""
    if not inventory.is_file():
        raise TerminalError(f"inventory {inventory} is no file; `ansible/inventories/example` has some to start from")
    finished = subprocess.run(
        [_program("ansible-inventory"), "-i", str(inventory), "--list"],
        env=_environment(State(inventory.parent / "state")),
        capture_output=True,
        text=True,
    )
    if finished.returncode:
        raise TerminalError(f"inventory {inventory} cannot be read:\n{finished.stderr.strip()[-600:]}")
    listed: Mapping[str, Any] = json.loads(finished.stdout)
    variables = listed.get("_meta", {}).get("hostvars", {})
    groups = {name: group.get("hosts", []) for name, group in listed.items() if name != "_meta"}
    without = [
        host
        for host in sorted({h for hosts in groups.values() for h in hosts})
        if "ansible_host" not in variables.get(host, {})
    ]
    if without or not variables:
        raise TerminalError(
            f"{inventory}: ansible_host (the address) is missing for {', '.join(without) or 'every host'}"
        )
    if wrong := unknown(variables, _ANSIBLE / "roles"):
        raise TerminalError(
            f"{inventory}: no role takes {', '.join(wrong)}; correct it (roles/*/meta/argument_specs.yml)"
        )
    return {"groups": groups, "addresses": {host: own["ansible_host"] for host, own in variables.items()}}


def _hold_to_signature(args: argparse.Namespace, known: State) -> Verified:
    """Before a host is touched: the bundle is whole, and of the signer that this cluster was first installed from."""
    trusted = known.folder / "allowed_signers"
    given = args.signers or (trusted if trusted.exists() else None)
    found = verify(args.bundle, signers=given.read_text(encoding="utf-8") if given else None)
    if args.signers and not trusted.exists():
        known.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        trusted.write_bytes(args.signers.read_bytes())
    sys.stderr.write(f"bundle {found.version}, commit {found.commit[:12]}, signed by {found.fingerprint}\n")
    if given is None:
        known.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        trusted.write_bytes((args.bundle / layout.SIGNERS).read_bytes())
        sys.stderr.write(f"this signer is trusted from now on ({trusted}); compare its fingerprint\n")
    return found


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _environment(known: State) -> dict[str, str]:
    """Ansible's own, with what SSH remembers of hosts and connections kept apart for each cluster."""
    folder = known.folder / "ssh"
    return {
        **_strategy(),
        **os.environ,
        "ANSIBLE_CONFIG": str(_ANSIBLE / "ansible.cfg"),
        "ANSIBLE_HOME": str(paths.state_dir() / "ansible"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder),
        "ANSIBLE_SSH_COMMON_ARGS": f"-o UserKnownHostsFile={folder / 'known_hosts'}",
    }


def _strategy() -> dict[str, str]:
    """Mitogen, where the control node has it: one interpreter a host. ANSIBLE_STRATEGY=linear goes without."""
    found = importlib.util.find_spec("ansible_mitogen")
    if found is None or found.origin is None:
        return {}
    return {
        "ANSIBLE_STRATEGY": "mitogen_linear",
        "ANSIBLE_STRATEGY_PLUGINS": str(Path(found.origin).parent / "plugins" / "strategy"),
        "ANSIBLE_DEPRECATION_WARNINGS": "false",  # each run would say that strategies from outside may go one day
    }


if __name__ == "__main__":
    sys.exit(main())
