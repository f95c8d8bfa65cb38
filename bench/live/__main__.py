"""`python -m bench.live`: from the event to the API's answer and to the topic of live tags, at a rate of events.

Every process is one of its own: broker, service, API, senders here. Events of random persons come at the rate; beside
them some a second are of persons to whom nothing else happens, and of these the API is asked until it counts the
event, and the topic is read until it tells of it. Latencies are from the moment that stands in the event.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.live.probing import Probes
from bench.live.rows import write_lake
from bench.live.sending import Rate
from bench.profiles import servers
from bench.profiles.asking import quantile
from bench.profiles.rows import WORKSPACE
from bench.profiles.servers import Site
from services.embedded.stack import EmbeddedStack
from spark_jobs.protection.keys import create_root_key_file
from spark_jobs.settings import SETTINGS_VARIABLE

_REPO = Path(__file__).resolve().parents[2]
# The last of all persons are those that are looked at.
PROBED = 2000


def main(argv: list[str] | None = None) -> int:
    """Print a line for each measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--persons", type=int, default=200_000, help="default %(default)s")
    parser.add_argument("--events", type=int, default=20, help="of each person in history (default %(default)s)")
    parser.add_argument("--rate", type=float, default=1736, help="events a second (default %(default)s, a peak day's)")
    parser.add_argument("--seconds", type=float, default=120, help="default %(default)s")
    parser.add_argument("--postgres", metavar="URL", help="an empty database of PostgreSQL, instead of SQLite")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="databank-bench-") as name, ExitStack() as held:
        folder = Path(name)
        key_file = folder / "keys" / "root.json"
        create_root_key_file(key_file)
        write_lake(folder / "lake", key_file, persons=args.persons, events=args.events)
        stack = held.enter_context(EmbeddedStack(folder / "stack", with_trino=False))
        site = Site(folder, args.postgres or f"sqlite:///{folder}/profiles.sqlite", servers.free_port())
        _write_settings(site, stack)
        held.enter_context(_service(site))
        facts = site.load()
        sys.stdout.write(
            f"loaded in {facts['seconds']} s, waiting: {facts['waiting']}, live: {facts['live']['tags']}\n"
        )
        held.enter_context(site.serving(1))
        _measure(args, site, stack, key_file)
    return 0


def _measure(args: argparse.Namespace, site: Site, stack: EmbeddedStack, key_file: Path) -> None:
    rate = ["--rate", "1e9", "--burst", "1000000000"]
    key = site.profiles("key", "create", "--name", "bench", "--workspaces", WORKSPACE, *rate)["key"]
    probed = range(args.persons - PROBED, args.persons)
    probes = Probes(stack.kafka_bootstrap, key_file, site.port, key=key, counted=args.events)
    with Rate(stack.kafka_bootstrap, key_file, persons=args.persons - PROBED, rate=args.rate) as sent, probes:
        until, place = time.monotonic() + args.seconds, 0
        while time.monotonic() < until and place < len(probed):
            probes.begin(probed[place])
            place += 1
            time.sleep(0.1)
    _print(f"{sent.count:,} events, {sent.count / args.seconds:,.0f} a second; seconds to", probes.told())


def _print(what: str, found: dict[str, list[float]]) -> None:
    sys.stdout.write(f"{what}\n")
    for name, seconds in found.items():
        ordered = sorted(seconds)
        cuts = (
            "  ".join(f"p{cut:g} {quantile(ordered, cut / 100):6.3f}" for cut in (50, 99, 99.9)) if ordered else "none"
        )
        sys.stdout.write(f"  {name:8} {len(ordered):6,} of them  {cuts}\n")


def _write_settings(site: Site, stack: EmbeddedStack) -> None:
    site.write()
    text = site.settings.read_text(encoding="utf-8").replace("127.0.0.1:9", stack.kafka_bootstrap, 1)
    site.settings.write_text(f'{text}[live]\nworkspaces = ["{WORKSPACE}"]\n', encoding="utf-8")


@contextmanager
def _service(site: Site) -> Iterator[None]:
    environment = {**os.environ, SETTINGS_VARIABLE: str(site.settings)}
    command = [sys.executable, "-m", "services", "profiles", "live", "--workspace", WORKSPACE]
    with subprocess.Popen(command, cwd=_REPO, env=environment) as process:
        try:
            yield
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
