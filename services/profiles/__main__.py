"""`./databank profiles VERB`: the profile API: serve it, load what is published, make keys, note refusals."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.profiles import access, generations, refusals, serving
from services.profiles.access import EVERY_WORKSPACE, READ, SCOPES, Grant
from services.profiles.addressing import TYPES, Addressing, Asked
from services.profiles.database import Database, open_database
from services.profiles.following import follow
from services.profiles.lake import opened_lake
from services.profiles.loading import load
from services.profiles.schema import upgrade
from spark_jobs import settings as settings_file
from spark_jobs.errors import TerminalError, ended
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.settings import ProfileSettings, Settings

Facts = dict[str, Any]


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--settings", metavar="FILE", help="settings file; default: the one DATABANK_SETTINGS names")
    facts = argparse.ArgumentParser(add_help=False, parents=[common])
    facts.add_argument("--json", action="store_true", help="print the facts as one JSON object")
    parser = argparse.ArgumentParser(prog="./databank profiles", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_serve(verbs.add_parser("serve", parents=[common], help="answer requests until a signal ends it"))
    _add_load(verbs.add_parser("load", parents=[facts], help="serve the newest publication of a workspace"))
    _add_follow(verbs.add_parser("follow", parents=[facts], help="load whatever is published, until a signal ends it"))
    key = verbs.add_parser("key", help="make, list and revoke API keys").add_subparsers(
        dest="key_verb", required=True, metavar="VERB"
    )
    _add_create(key.add_parser("create", parents=[facts], help="make a key; it is shown this once"))
    key.add_parser("list", parents=[facts], help="all keys, without their secrets")
    revoke = key.add_parser("revoke", parents=[facts], help="let a key in no more, within two seconds")
    revoke.add_argument("key_id", metavar="ID", help="as `key list` shows it")
    for name, purpose in (("refuse", "note that a person refuses profiling"), ("allow", "take a refusal back")):
        verb = verbs.add_parser(name, parents=[facts], help=purpose)
        verb.add_argument("type", choices=TYPES, help="identifier type")
        verb.add_argument("--scope", default="", help="app, account or site within which it counts")
        verb.add_argument(
            "--value-file", default="-", metavar="FILE", help="file with the value; default: standard input"
        )
    verbs.add_parser("status", parents=[facts], help="what is served, what is loading, how old it is")
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", metavar="HOST:PORT", help="default: the settings'")
    parser.add_argument("--processes", type=int, default=1, help="that share the port (default %(default)s)")
    parser.add_argument(
        "--connections", type=int, default=8, help="to PostgreSQL, of each process (default %(default)s)"
    )
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="of TLS; needed beyond this machine")
    parser.add_argument("--private-key", type=Path, metavar="FILE", help="its private key")


def _add_load(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workspace", required=True, metavar="NAME", help="whose tags are served")
    _add_reading(parser)


def _add_follow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--every-s", type=float, default=60, help="seconds between two looks at the lake (default %(default)s)"
    )
    _add_reading(parser)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--memory-mb", type=int, default=2048, help="for sorting and joining (default %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")
    parser.add_argument(
        "--niceness", type=int, default=10, help="so much it gives way to who answers requests (default %(default)s)"
    )
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="for what does not fit; default: spark local_dir")


def _add_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="who has it")
    parser.add_argument("--scopes", default=READ, help=f"with commas, of {', '.join(SCOPES)} (default %(default)s)")
    parser.add_argument("--workspaces", required=True, help=f"with commas, or {EVERY_WORKSPACE}")
    parser.add_argument("--rate", type=float, default=100, help="persons a second on average (default %(default)s)")
    parser.add_argument("--burst", type=int, default=500, help="persons at once (default %(default)s)")
    parser.add_argument("--days", type=int, help="until it ends; default: never")


def main(argv: list[str] | None = None) -> int:
    """Do one verb; 0, 1, 75, 70, 2 and 130 as everywhere."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format=serving.LOG_FORMAT)
    return ended(f"profiles {args.verb}", lambda: _do(args))


def _do(args: argparse.Namespace) -> int:
    settings = settings_file.load(args.settings)
    ours = settings.profiles
    if ours is None:
        raise TerminalError("the settings have no [profiles]; add url, address and refusal_tag (docs/profiles.md)")
    if args.verb == "serve":
        held = serving.held_socket()
        address = serving.address_of(held) if held else args.address or ours.address
        door = serving.door_of(address, args.certificate, args.private_key, held=held)
        return serving.serve(
            ours.url, settings.root_key_file, door, processes=args.processes, connections=args.connections
        )
    database = open_database(ours.url)
    try:
        upgrade(database)
        facts = _VERBS[args.verb](database, settings, args)
    finally:
        database.close()
    text = (
        json.dumps(facts) + "\n" if args.json else "".join(f"{name}: {_shown(fact)}\n" for name, fact in facts.items())
    )
    sys.stdout.write(text)
    return 0


def _load(database: Database, settings: Settings, args: argparse.Namespace) -> Facts:
    workspace = settings.workspace(args.workspace).name
    os.nice(args.niceness)
    return _loaded(database, settings, args, workspace)


def _follow(database: Database, settings: Settings, args: argparse.Namespace) -> Facts:
    os.nice(args.niceness)
    # A folder of its own, emptied here: one that is killed at a load cannot take away what it wrote there.
    args.scratch = (args.scratch or Path(settings.spark.local_dir)) / "profiles-follow"
    shutil.rmtree(args.scratch, ignore_errors=True)
    workspaces = [one.name for one in settings.workspaces]
    follow(workspaces, lambda workspace: _loaded(database, settings, args, workspace), every_s=args.every_s)
    return {}


def _loaded(database: Database, settings: Settings, args: argparse.Namespace, workspace: str) -> Facts:
    scratch = args.scratch or Path(settings.spark.local_dir)
    scratch.mkdir(parents=True, exist_ok=True)
    with opened_lake(settings.storage_root, memory_mb=args.memory_mb, scratch=scratch, threads=args.threads) as lake:
        return load(database, lake, workspace, refusal_tag=_ours(settings).refusal_tag)


def _key(database: Database, _settings: Settings, args: argparse.Namespace) -> Facts:
    if args.key_verb == "create":
        scopes, workspaces = (frozenset(text.split(",")) for text in (args.scopes, args.workspaces))
        grant = Grant(args.name, scopes, workspaces, args.rate, args.burst)
        key_id, key = access.create(database, grant, days=args.days)
        return {"key_id": key_id, "key": key, "name": args.name, "scopes": sorted(scopes)}
    if args.key_verb == "revoke":
        access.revoke(database, args.key_id)
        return {"revoked": args.key_id}
    return {"keys": [_told(key) for key in access.every_key(database)]}


def _told(key: access.ApiKey) -> Facts:
    grant = key.grant
    told = {"key_id": key.key_id, "name": grant.name, "scopes": sorted(grant.scopes), "rate": grant.rate}
    told |= {"workspaces": sorted(grant.workspaces), "burst": grant.burst, "created_at": key.created_at}
    return {**told, "expires_at": key.expires_at, "revoked_at": key.revoked_at}


def _refuse(database: Database, settings: Settings, args: argparse.Namespace) -> Facts:
    # Never an argument: the list of processes and the shell's history would hold it.
    text = sys.stdin.read() if args.value_file == "-" else Path(args.value_file).read_text(encoding="utf-8")
    keys = Addressing(load_root_keys(settings.root_key_file)).keys(Asked(args.type, text.strip("\r\n"), args.scope))
    if args.verb == "refuse":
        return {"noted": len(keys.keys), "marked": refusals.refuse(database, keys)}
    return {"taken_back": refusals.allow(database, keys)}


def _status(database: Database, _settings: Settings, _args: argparse.Namespace) -> Facts:
    served = [{name: getattr(one, name) for name in one.__slots__} for one in generations.pointers(database)]
    every = [
        {
            "number": one.number,
            "kind": one.kind,
            "workspace": one.workspace,
            "state": one.state,
            "begun_at": one.begun_at,
        }
        for one in generations.generations(database)
    ]
    return {"served": served, "generations": every, "refusals": refusals.count(database)}


def _ours(settings: Settings) -> ProfileSettings:
    assert settings.profiles is not None
    return settings.profiles


def _shown(fact: object) -> str:
    return "\n" + "\n".join(f"  {one}" for one in fact) if isinstance(fact, list) and fact else str(fact)


_VERBS: Mapping[str, Callable[[Database, Settings, argparse.Namespace], Facts]] = {
    "load": _load,
    "follow": _follow,
    "key": _key,
    "refuse": _refuse,
    "allow": _refuse,
    "status": _status,
}


if __name__ == "__main__":
    sys.exit(main())
