"""`./databank activation VERB`: campaigns: check them, send what is new, take in receipts, measure."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.activation.adapters import adapter_of
from services.activation.campaigns import Campaign, read_campaign
from services.activation.receipts import as_facts, take_in
from services.activation.report import report
from services.activation.store import opened_store
from services.activation.waves import Doors, Refusals, run
from services.demo.live_sending import Sender
from services.profiles.lake import Lake, opened_lake
from services.profiles.published import newest_published
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import ended
from spark_jobs.people.refusals import noted
from spark_jobs.settings import Settings, load

Facts = Mapping[str, object]


def main(argv: list[str] | None = None) -> int:
    """Do a verb; 0, 1, 75, 70 or 2 as everywhere."""
    args = _parser().parse_args(argv)
    return ended(f"activation {args.verb}", lambda: _run(load(args.settings), args))


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--settings", metavar="FILE", help="default: the one that DATABANK_SETTINGS names")
    common.add_argument("--json", action="store_true", help="print the facts as one JSON object")
    common.add_argument("campaign", type=Path, metavar="PATH", help="definition of the campaign (YAML)")
    lake = argparse.ArgumentParser(add_help=False)
    lake.add_argument("--workspace", required=True, metavar="NAME")
    lake.add_argument("--memory-mb", type=int, default=2048, help="of DuckDB (default 2048)")
    lake.add_argument("--threads", type=int, default=2, help="of DuckDB (default 2)")
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument("--folder", type=Path, metavar="DIR", help="of the adapter `file`")
    parser = argparse.ArgumentParser(prog="./databank activation", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("check", parents=[common], help="is the definition right?")
    sending = verbs.add_parser("run", parents=[common, lake, folder], help="send to those who enter the audience")
    sending.add_argument("--accept", type=int, metavar="N", help="that so many enter, although that is too many")
    verbs.add_parser("receipts", parents=[common, folder], help="take in what the receiver tells, as events")
    measuring = verbs.add_parser("report", parents=[common, lake], help="who bought, against the control group")
    measuring.add_argument("--days", type=int, default=14, help="after the message (default 14)")
    return parser


def _run(settings: Settings, args: argparse.Namespace) -> int:
    campaign = read_campaign(args.campaign)
    facts = _VERBS[args.verb](settings, campaign, args)
    text = json.dumps(facts) if args.json else "\n".join(f"{name}: {fact}" for name, fact in facts.items())
    sys.stdout.write(f"{text}\n")
    return 0


def _check(_settings: Settings, campaign: Campaign, _args: argparse.Namespace) -> Facts:
    return {"campaign": campaign.name, "channel": campaign.channel, "definition": campaign.digest}


def _send(settings: Settings, campaign: Campaign, args: argparse.Namespace) -> Facts:
    workspace, profiles = settings.workspace(args.workspace).name, settings.profiles
    refusals = Refusals(profiles.refusal_tag, noted(profiles.url)) if profiles else Refusals("", ())
    adapter = adapter_of(campaign.adapter, campaign.receiver, args.folder)
    with _lake(settings, args) as lake, opened_store(settings.ledger_url) as store:
        doors = Doors(lake, store, adapter, settings.root_key_file)
        return run(doors, campaign, workspace, refusals, now=datetime.now(UTC), accept=args.accept)


def _receipts(settings: Settings, campaign: Campaign, args: argparse.Namespace) -> Facts:
    adapter = adapter_of(campaign.adapter, campaign.receiver, args.folder)
    servers, account = settings.kafka_bootstrap_servers, settings.kafka_account
    with opened_store(settings.ledger_url) as store, Sender(servers, EVENTS_TOPIC, account) as sender:
        return as_facts(take_in(adapter, store, sender.send, sender.finish))


def _report(settings: Settings, campaign: Campaign, args: argparse.Namespace) -> Facts:
    workspace, window = settings.workspace(args.workspace).name, timedelta(days=args.days)
    with _lake(settings, args) as lake, opened_store(settings.ledger_url) as store:
        published = newest_published(lake, workspace)
        found = report(lake, store.assigned(campaign.name), published, window=window, now=datetime.now(UTC))
    return {"campaign": campaign.name, **found}


@contextmanager
def _lake(settings: Settings, args: argparse.Namespace) -> Iterator[Lake]:
    scratch = Path(settings.spark.local_dir)
    scratch.mkdir(parents=True, exist_ok=True)
    root, memory_mb = settings.storage_root, args.memory_mb
    with opened_lake(root, memory_mb=memory_mb, scratch=scratch, threads=args.threads) as lake:
        yield lake


_VERBS: Mapping[str, Callable[[Settings, Campaign, argparse.Namespace], Facts]] = {
    "check": _check,
    "run": _send,
    "receipts": _receipts,
    "report": _report,
}

if __name__ == "__main__":
    sys.exit(main())
