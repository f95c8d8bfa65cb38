"""The command line's shape; standard library only, as mistakes are answered before anything is set up."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIERS = ("gate", "unit", "spark", "properties", "stack", "airflow", "acceptance", "appliance")

# Area, verb, the process behind it, what it does. `*` passes every verb on: the process has verbs of its own.
_PROCESSES: Mapping[str, Mapping[str, tuple[tuple[str, ...], str]]] = {
    "migration": {"*": (("migration",), "move history in: plan, copy, verify, cut over")},
    "tracking": {
        "ingest": (("spark_jobs", "ingest"), "read the topic of live events into the lake"),
        "sessions": (("spark_jobs", "sessions"), "make visits of events"),
    },
    "identity": {
        "run": (("spark_jobs", "identity"), "link identifiers and give every person one id"),
        "check": (("spark_jobs", "identity-check"), "check rules of identity, compute nothing"),
        "dry-run": (("spark_jobs", "identity-dry-run"), "what other rules would change; writes nothing"),
        "verify": (("spark_jobs", "identity-verify"), "verify the snapshot in force once more, from the tables alone"),
        "quality": (("spark_jobs", "identity-quality"), "coverage, hubs, the largest persons, and bridges"),
        "resolve": (("spark_jobs", "identity-resolve"), "who an identifier belongs to, now or at a moment"),
        "explain": (("spark_jobs", "identity-explain"), "why two are one person: the links, with their events"),
        "why-not": (("spark_jobs", "identity-why-not"), "why two are not one person: the parked links"),
        "unmerge": (("spark_jobs", "identity-unmerge"), "decide that two are not one person"),
        "join": (("spark_jobs", "identity-join"), "decide that two are one person"),
        "lock": (("spark_jobs", "identity-lock"), "freeze a person: nobody comes or goes"),
        "withdraw": (("spark_jobs", "identity-withdraw"), "end a decision"),
        "components": (("spark_jobs", "components"), "connected components of any list of links"),
    },
    "tags": {
        "run": (("spark_jobs", "tags"), "compute the tags of every person"),
        "check": (("spark_jobs", "tags-check"), "check tag definitions, compute nothing"),
        "estimate": (("spark_jobs", "tags-estimate"), "what publishing definitions would do; publishes nothing"),
        "explain": (("spark_jobs", "tags-explain"), "why a person has a tag: rule, facts, identifiers"),
        "history": (("spark_jobs", "tags-history"), "a tag of a person over time, with the cause of each change"),
        "diff": (("spark_jobs", "tags-diff"), "what changed between two published states"),
        "drift": (("spark_jobs", "tags-drift"), "shares and their bands; accept what was refused"),
        "deliver": (("spark_jobs", "tags-deliver"), "bring published tags into their topics"),
    },
    "audience": {
        "check": (("spark_jobs", "audience-check"), "check definitions of audiences, compute nothing"),
        "build": (
            ("spark_jobs", "audience-build"),
            "compute the audiences of the tags in force, and who came and went",
        ),
        "count": (("services", "audiences"), "sizes of audiences and of what they have in common; starts no Spark"),
        "export": (("spark_jobs", "audience-export"), "write the files of the exports that an audience is chosen by"),
        "deliver": (("spark_jobs", "audience-deliver"), "bring members, and who came and went, into their topics"),
    },
    "triggers": {
        "run": (("spark_jobs", "triggers"), "decide of which carts and unpaid orders somebody is to be told"),
        "check": (("spark_jobs", "triggers-check"), "check definitions of triggers, decide nothing"),
        "send": (("spark_jobs", "triggers-send"), "bring due triggers into their topic and to the webhook"),
    },
    "exports": {
        "run": (("spark_jobs", "exports"), "write files for a receiver, with a manifest; --check looks at definitions"),
    },
    "activation": {"*": (("services", "activation"), "campaigns: send to who enters, take in receipts, measure")},
    "profiles": {"*": (("services", "profiles"), "what is known of a person: serve it by HTTP, load, keys")},
    "sql": {
        "show": (("trino_catalog.apply",), "make Trino show the lake's tables and views"),
        "ask": (("trino_catalog.ask",), "ask one question and print its answer"),
    },
    "bundle": {"*": (("services", "bundle"), "the one file that hosts without internet are installed from")},
    "cluster": {"*": (("services", "cluster"), "install, verify and change the platform on your servers")},
    "upkeep": {
        "audit": (("spark_jobs", "delta-audit"), "are logs whole and all files there; changes nothing"),
        "compact": (("spark_jobs", "compact"), "put small files of tables together"),
        "vacuum": (("spark_jobs", "vacuum"), "delete files that no version needs any more; --dry-run tells which"),
        "erase": (("spark_jobs", "erase"), "take a person out of all tables for good, and prove it"),
        "expire": (("spark_jobs", "expire"), "delete rows that are older than their retention; --dry-run tells which"),
    },
}
_AREAS = {
    "migration": "history from old systems",
    "tracking": "live events and visits",
    "identity": "one id for every person",
    "tags": "what is known of a person",
    "audience": "sets of persons, drawn from tags",
    "triggers": "carts and orders that wait",
    "exports": "files for receivers outside",
    "activation": "campaigns, and what they bring",
    "profiles": "what is known of a person, by HTTP",
    "sql": "what Trino shows",
    "bundle": "the offline bundle",
    "cluster": "the appliance",
    "upkeep": "a sound lake",
}
_PORT_LIMIT = 65_536


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. `module` and `rest` are set for a verb that a process of its own does."""

    verb: str
    module: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    campaign: bool = False
    lifecycle: bool = False
    fresh: bool = False
    within: int | None = None
    json: bool = False
    kafka_port: int | None = None
    trino_port: int | None = None
    airflow: bool = False
    airflow_port: int | None = None


def parse(argv: Sequence[str]) -> Wanted:
    """What `argv` asks for; ends the program with help (0) or a usage message (2)."""
    parser = _parser()
    known, rest = parser.parse_known_args(list(argv))
    given = vars(known)
    module = given.pop("module", ())
    if rest and not module:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if given["verb"] in _PROCESSES or given["verb"] == "demo":
        # Everything behind the verb is the process's own, `--help` included.
        words = 2 if "own_verb" in given else 1
        return Wanted(given["verb"], module=module, rest=tuple(argv[words:]))
    return Wanted(**{**given, "tiers": tuple(given.get("tiers", ()))})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./databank",
        description="A customer data platform on your own machines. The first verb you run sets everything up.",
        epilog="Exit status: 0 done, 1 a person must change something first, 75 try again later, 2 wrong usage, "
        "130 interrupted, 70 a defect.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB | AREA VERB", required=True)
    demo = verbs.add_parser("demo", help="move real history in beside live events, and prove it", add_help=False)
    demo.set_defaults(module=("services", "demo"))
    _add_test(verbs)
    up = verbs.add_parser("up", help="start Kafka and Trino and leave them running, for BI tools")
    up.add_argument("--kafka-port", type=_port, metavar="PORT", help="default: the last one, else a free one")
    up.add_argument("--trino-port", type=_port, metavar="PORT", help="default: the last one, else a free one")
    up.add_argument("--airflow", action="store_true", help="Airflow too, which runs the batches; says where to log in")
    up.add_argument("--airflow-port", type=_port, metavar="PORT", help="default: the last one, else a free one")
    verbs.add_parser("down", help="stop what `up` started")
    for name, purpose in (("status", "what runs, and whether it answers"), ("runs", "the last runs of all jobs")):
        verb = verbs.add_parser(name, help=purpose)
        verb.add_argument("--json", action="store_true", help="one JSON object, for programs")
    for area, processes in _PROCESSES.items():
        _add_area(verbs, area, processes)
    return parser


def _add_test(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    test = verbs.add_parser("test", help="run the tests, the fast ones first")
    # No `choices`: argparse would refuse the empty list.
    test.add_argument("tiers", nargs="*", type=_tier, metavar="TIER", help=f"some of: {', '.join(TIERS)}; default: all")
    test.add_argument(
        "--within", type=int, metavar="MINUTES", help="run tests marked `thorough` last, and only while there is time"
    )
    test.add_argument("--campaign", action="store_true", help="the long fault and scale runs instead; resumable")
    test.add_argument("--lifecycle", action="store_true", help="years of a cluster on real hosts instead; resumable")
    test.add_argument("--fresh", action="store_true", help="with one of these: repeat what has passed already")


def _add_area(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    area: str,
    processes: Mapping[str, tuple[tuple[str, ...], str]],
) -> None:
    if "*" in processes:
        module, purpose = processes["*"]
        verbs.add_parser(area, help=purpose, add_help=False).set_defaults(module=module)
        return
    parser = verbs.add_parser(area, help=f"{_AREAS[area]}: {', '.join(processes)}")
    own = parser.add_subparsers(dest="own_verb", metavar="VERB", required=True)
    for name, (module, purpose) in processes.items():
        own.add_parser(name, help=purpose, add_help=False).set_defaults(module=module)


def _tier(text: str) -> str:
    if text not in TIERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(TIERS)}")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < _PORT_LIMIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (1 to {_PORT_LIMIT - 1})")
    return int(text)
