"""`./databank profiles VERB`: the profile API: serve it, load what is published, follow events, keys, refusals."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.live import progress
from services.profiles import access, generations, refusals, serving
from services.profiles.access import EVERY_WORKSPACE, READ, SCOPES, Grant
from services.profiles.addressing import TYPES, Addressing, Asked
from services.profiles.database import Database, open_database
from services.profiles.lake import opened_lake
from services.profiles.loading import load
from services.profiles.schema import upgrade
from spark_jobs import settings as settings_file
from spark_jobs.errors import RetryableError, TerminalError, ended
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.settings import ProfileSettings, Settings
from spark_jobs.tagging.calendar import moment_of

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
    _add_live(verbs.add_parser("live", parents=[facts], help="follow a workspace's events until a signal ends it"))
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
    parser.add_argument("--memory-mb", type=int, default=2048, help="for sorting and joining (default %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")
    parser.add_argument(
        "--niceness", type=int, default=10, help="so much it gives way to who answers requests (default %(default)s)"
    )
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="for what does not fit; default: spark local_dir")
    parser.add_argument(
        "--without-live", action="store_true", help="serve the batch alone, at once; live answers may go back to it"
    )
    parser.add_argument(
        "--wait-s", type=int, default=3600, help="for live tags to catch up with events (default %(default)s)"
    )


def _add_live(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workspace", required=True, metavar="NAME", help="whose events are followed")
    parser.add_argument("--metrics", metavar="HOST:PORT", help="answer Prometheus there, on loopback; default: nowhere")


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
        door = serving.door_of(args.address or ours.address, args.certificate, args.private_key)
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
    workspace = settings.workspace(args.workspace)
    is_live = settings.live is not None and workspace.name in settings.live.workspaces and not args.without_live
    scratch = args.scratch or Path(settings.spark.local_dir)
    scratch.mkdir(parents=True, exist_ok=True)
    os.nice(args.niceness)
    with opened_lake(settings.storage_root, memory_mb=args.memory_mb, scratch=scratch, threads=args.threads) as lake:
        refusal_tag, live = _ours(settings).refusal_tag, workspace if is_live else None
        facts = load(database, lake, workspace.name, refusal_tag=refusal_tag, live=live)
    if facts.get("waiting"):
        from services.live.running import hand_over  # noqa: PLC0415 - loads without live tags need no client of Kafka

        if not hand_over(settings, database, workspace.name, most_s=args.wait_s):
            raise RetryableError(
                f"publication {facts['publication']} of {workspace.name} is loaded, and after {args.wait_s} s still "
                "waits for its events: look at `profiles status` and at the service of live tags; it is served as soon "
                "as that has caught up. A load that is started again goes on waiting"
            )
        facts["waiting"] = False
    return facts


def _live(database: Database, settings: Settings, args: argparse.Namespace) -> Facts:
    from services.live.running import run  # noqa: PLC0415

    return run(settings, database, settings.workspace(args.workspace).name, address=args.metrics)


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
    live = [
        {
            "workspace": one.workspace,
            "number": one.number,
            "state": one.state,
            "publication": one.pointer.publication,
            "as_of": moment_of(one.as_of).isoformat(),
        }
        for one in progress.every(database)
    ]
    told = {"served": served, "generations": every, "refusals": refusals.count(database)}
    return {**told, "live": live} if live else told


def _ours(settings: Settings) -> ProfileSettings:
    assert settings.profiles is not None
    return settings.profiles


def _shown(fact: object) -> str:
    return "\n" + "\n".join(f"  {one}" for one in fact) if isinstance(fact, list) and fact else str(fact)


_VERBS: Mapping[str, Callable[[Database, Settings, argparse.Namespace], Facts]] = {
    "load": _load,
    "live": _live,
    "key": _key,
    "refuse": _refuse,
    "allow": _refuse,
    "status": _status,
}


if __name__ == "__main__":
    sys.exit(main())
