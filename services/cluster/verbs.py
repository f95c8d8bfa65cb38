"""The verbs of `./databank cluster`: what each is for, what it is told, and what is done around its playbook."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.bundle.verify import Verified
from services.cluster import authority, backups, history, state
from services.cluster.history import History
from services.cluster.state import State

Hook = Callable[[State, argparse.Namespace, Verified], None]
First = Callable[[State, argparse.Namespace, Verified], tuple[str, ...]]


def _nothing(_known: State, _args: argparse.Namespace, _bundle: Verified) -> None:
    """Most verbs need nothing but their playbook."""


def _none_first(_known: State, _args: argparse.Namespace, _bundle: Verified) -> tuple[str, ...]:
    """Most verbs are done by themselves."""
    return ()


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: `arguments` maps flags or names to argparse's options; its playbook finds them in `databank_asked`.

    `first` names verbs that are done, with all that belongs to them, before this one. `before` runs once the bundle is
    trusted and before a host is touched; `after` once the playbook succeeded. With --check neither runs.
    """

    purpose: str
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    before: Hook = _nothing
    after: Hook = _nothing
    first: First = _none_first


def _before_install(known: State, _args: argparse.Namespace, bundle: Verified) -> None:
    if found := history.read(known):
        found.refuse_install(bundle.version)


def _backup_first(known: State, args: argparse.Namespace, bundle: Verified) -> tuple[str, ...]:
    """An upgrade that broke off goes on with the backup of before: one of what is half new would bring nobody back."""
    _going_up(known, args, bundle)
    return () if history.of_cluster(known).target == bundle.version and backups.is_whole(args.to) else ("backup",)


def _before_upgrade(known: State, args: argparse.Namespace, bundle: Verified) -> None:
    history.write(known, _going_up(known, args, bundle))


def _going_up(known: State, args: argparse.Namespace, bundle: Verified) -> History:
    allowed = history.upgrades_from(args.bundle, bundle.version)
    return history.of_cluster(known).going_up(bundle.version, allowed)


def _before_rollback(known: State, _args: argparse.Namespace, bundle: Verified) -> None:
    history.write(known, history.of_cluster(known).going_back(bundle.version))


def _before_finalise(known: State, _args: argparse.Namespace, bundle: Verified) -> None:
    history.of_cluster(known).finalised(bundle.version)


def _before_rotate(known: State, args: argparse.Namespace, bundle: Verified) -> None:
    _before_install(known, args, bundle)
    if args.what == "passwords":
        state.renew_secrets(known)
    else:
        authority.discard(known.authority)


def _arrived(known: State, _args: argparse.Namespace, bundle: Verified) -> None:
    found = history.read(known)
    history.write(known, found.arrived(bundle.version) if found else History(bundle.version))


def _finalised(known: State, _args: argparse.Namespace, bundle: Verified) -> None:
    history.write(known, history.of_cluster(known).finalised(bundle.version))


def _begin_backup(known: State, args: argparse.Namespace, _bundle: Verified) -> None:
    backups.begin(known, args.to, args.inventory.resolve())


def _end_backup(_known: State, args: argparse.Namespace, _bundle: Verified) -> None:
    backups.end(args.to)


def _decommissioned(known: State, args: argparse.Namespace, _bundle: Verified) -> None:
    state.forget_data(known, args.host)


def _uninstalled(known: State, args: argparse.Namespace, _bundle: Verified) -> None:
    """Without data there is nothing to go on from: the next installation begins anew."""
    if args.data:
        state.forget_data(known)
        history.forget(known)


_TO = {"--to": {"type": Path, "required": True, "metavar": "DIR", "help": "new folder on the control node"}}
_WITH_DATA = {
    "metavar": "DIR",
    "default": "",
    "help": "folder that every host sees, such as a mounted share: the lake's blocks and Kafka's messages as well",
}
VERBS: Mapping[str, Verb] = {
    "preflight": Verb("could these hosts run it? Changes nothing on them"),
    "install": Verb("bring hosts to what the inventory says; again changes nothing", {}, _before_install, _arrived),
    "verify": Verb("send a message, a file, a table and a query all the way through"),
    "status": Verb("what runs where, which release, and what does not survive the loss of which host"),
    "upgrade": Verb(
        "go to the bundle's release, one host at a time, after a backup", _TO, _before_upgrade, _arrived, _backup_first
    ),
    "rollback": Verb("go back to the release before, with its bundle", {}, _before_rollback, _arrived),
    "finalise": Verb("switch on the release's formats: closes the way back", {}, _before_finalise, _finalised),
    "scale_out": Verb("install the hosts that are new in the inventory and move data onto them", {}, _before_install),
    "decommission": Verb(
        "take a host's data and work to the others, and everything off it; remove it from the inventory afterwards",
        {"--host": {"required": True, "metavar": "NAME", "help": "the host that shall go"}},
        _before_install,
        _decommissioned,
    ),
    "backup": Verb(
        "databases, NameNode image, Kafka's metadata, settings and state into a folder",
        {**_TO, "--data-to": _WITH_DATA},
        _begin_backup,
        _end_backup,
    ),
    "restore": Verb(
        "bring a backup onto empty hosts, and install",
        {
            "--from": {"dest": "from_folder", "type": Path, "required": True, "metavar": "DIR", "help": "the backup"},
            "--data-from": {**_WITH_DATA, "help": "where the backup put the lake's blocks and Kafka's messages"},
        },
        _before_install,
        _arrived,
    ),
    "rotate": Verb(
        "new certificates or new passwords, one host at a time",
        {"what": {"choices": ["certificates", "passwords"]}},
        _before_rotate,
    ),
    "support_bundle": Verb("what a helper needs to see, without secrets, in one file", _TO),
    "uninstall": Verb(
        "remove it from the hosts; data stay unless told",
        {
            "--name": {
                "required": True,
                "metavar": "NAME",
                "help": "the cluster's name (databank_cluster), as a promise",
            },
            "--data": {"action": "store_true", "help": "remove all data as well"},
        },
        after=_uninstalled,
    ),
}


def asked(args: argparse.Namespace) -> dict[str, Any]:
    """What the verb's own arguments were given, as a playbook reads it: paths are absolute."""
    options = VERBS[args.verb].arguments
    names = [str(one.get("dest", name.lstrip("-").replace("-", "_"))) for name, one in options.items()]
    given = {name: getattr(args, name) for name in names}
    return {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in given.items()}
