"""`python -m bench.profiles`: p50, p99 and requests per second of the profile API, with peers in the same run.

Lookups by phone of random persons, over HTTP on loopback, from a load generator of its own: at a rate, as fast as they
are answered, and at the rate while the next snapshot loads. Peers: the same rows looked up in the store without HTTP,
and a bare FastAPI route without a store, which is the floor.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.profiles import rows, servers
from bench.profiles.asking import quantile
from bench.profiles.rows import WORKSPACE, phone
from bench.profiles.servers import Site, asked, asking
from services.profiles import reading
from services.profiles.addressing import Addressing, Asked
from services.profiles.database import open_database
from services.profiles.reading import Reader
from spark_jobs.protection.keys import create_root_key_file, load_root_keys

_PLAIN = 20_000
_AN_HOUR = 3600


def main(argv: list[str] | None = None) -> int:
    """Print a line for each measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.profiles", description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000, help="default %(default)s")
    parser.add_argument("--rate", type=float, default=1000, help="requests a second (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="of each measure (default %(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="of each server (default %(default)s)")
    parser.add_argument("--postgres", metavar="URL", help="an empty database of PostgreSQL, to be measured as well")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="databank-bench-") as name:
        folder = Path(name)
        key_file = folder / "keys" / "root.json"
        create_root_key_file(key_file)
        rows.write_identity(folder / "lake", key_file, args.persons)
        sys.stdout.write("what                           requests      /s  p50 ms  p99 ms  p99.9 ms  errors  mixes\n")
        _floor(args, folder)
        for place, url in enumerate([f"sqlite:///{folder}/profiles.sqlite", args.postgres]):
            if url:
                rows.write_tags(folder / "lake", args.persons, 2 * place + 1)
                _store(args, Site(folder, url, servers.free_port()), 2 * place + 2)
    return 0


def _floor(args: argparse.Namespace, folder: Path) -> None:
    port = servers.free_port()
    with servers.served(
        ["bench.profiles.floor", "--port", str(port), "--processes", str(args.processes)], port, folder
    ):
        _print("bare FastAPI at the rate", asked(asking(port, *_how(args, rate=args.rate))))
        _print("bare FastAPI at most", asked(asking(port, *_how(args, rate=0))))


def _store(args: argparse.Namespace, site: Site, following: int) -> None:
    site.write()
    kind = site.url.partition(":")[0].partition("+")[0]
    facts = site.load()
    sys.stdout.write(f"{kind}: loaded in {facts['seconds']} s ({facts['tags']['way']})\n")
    _print(f"{kind} lookup without HTTP", _plain(args, site))
    key = site.profiles(
        "key", "create", "--name", "bench", "--workspaces", WORKSPACE, "--rate", "1e9", "--burst", "1000000000"
    )["key"]
    with site.serving(args.processes):
        _print(f"{kind} API at the rate", asked(asking(site.port, *_how(args, rate=args.rate, key=key))))
        _print(f"{kind} API at most", asked(asking(site.port, *_how(args, rate=0, key=key))))
        rows.write_tags(site.folder / "lake", args.persons, following)
        generator = asking(site.port, *_how(args, rate=args.rate, key=key, seconds=_AN_HOUR))
        facts = site.load()
        generator.terminate()
        found = asked(generator)
        _print(f"{kind} API while {facts['seconds']:.0f} s load", found)
        sys.stdout.write(f"{kind}: publications that were answered from: {found['publications']}\n")


def _how(args: argparse.Namespace, *, rate: float, key: str = "", seconds: float = 0) -> list[str]:
    given = {"persons": args.persons, "seconds": seconds or args.seconds, "rate": rate, "key": key}
    return [word for name, value in given.items() if value for word in (f"--{name}", str(value))]


def _plain(args: argparse.Namespace, site: Site) -> dict[str, Any]:
    database = open_database(site.url)
    addressing = Addressing(load_root_keys(site.folder / "keys" / "root.json"))
    reader, chance, seconds = Reader(database), random.Random(0), []
    for _ in range(_PLAIN):
        keys = addressing.keys(Asked("phone", phone(chance.randrange(args.persons))))
        began = time.perf_counter()
        seen = reading.look_up(reader, WORKSPACE, {"token": keys.keys})
        seconds.append(time.perf_counter() - began)
        assert seen is not None
        assert len(seen.persons) == 1
    database.close()
    seconds.sort()
    cuts = {f"p{cut:g}_ms": round(1000 * quantile(seconds, cut / 100), 3) for cut in (50, 99, 99.9)}
    return {"requests": _PLAIN, "per_second": round(_PLAIN / sum(seconds), 1), "errors": 0, "mixes": 0, **cuts}


def _print(what: str, found: dict[str, Any]) -> None:
    numbers = f"{found['p50_ms']:7.2f} {found['p99_ms']:7.2f} {found['p99.9_ms']:9.2f}"
    head = f"{what:30} {found['requests']:8,} {found['per_second']:7,.0f}"
    sys.stdout.write(f"{head} {numbers} {found['errors']:7,} {found['mixes']:6,}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
