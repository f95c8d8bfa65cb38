"""The load generator, a process of its own: `python -m bench.profiles.asking` asks one server and prints what it saw.

With a rate, requests begin at their planned moments whatever the server does, and take from that moment on: a server
that stalls is not spared the requests that came meanwhile. Without one, each connection asks as fast as it is answered.
A SIGTERM ends it a second later.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from dataclasses import dataclass, field

from bench.profiles.rows import phone

_LIMIT = 1 << 20


@dataclass(slots=True)
class Seen:
    """Seconds of each answer; answers that were none; persons whose tags were not all of the answer's publication."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    mixes: int = 0
    publications: set[int] = field(default_factory=set)
    until: float = 0.0


def main(argv: list[str] | None = None) -> int:
    """Ask for some time; print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m bench.profiles.asking", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", default="")
    parser.add_argument("--persons", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rate", type=float, default=0, help="requests a second; 0: as fast as they are answered")
    parser.add_argument("--connections", type=int, default=32)
    args = parser.parse_args(argv)
    seen = Seen()
    began = time.perf_counter()
    asyncio.run(_ask(args, seen))
    lasted = time.perf_counter() - began
    sys.stdout.write(json.dumps(_told(seen, lasted)) + "\n")
    return 0


def _told(seen: Seen, lasted: float) -> dict[str, object]:
    times = sorted(seen.seconds)
    cuts = {f"p{cut:g}_ms": round(1000 * quantile(times, cut / 100), 3) for cut in (50, 99, 99.9)}
    numbers = {"requests": len(times), "per_second": round(len(times) / lasted, 1), "errors": seen.errors}
    return {**numbers, **cuts, "mixes": seen.mixes, "publications": sorted(seen.publications)}


def quantile(ascending: list[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed; 0 of none."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, max(0, -(-int(share * 1e9 * len(ascending)) // 10**9) - 1))]


async def _ask(args: argparse.Namespace, seen: Seen) -> None:
    seen.until = time.perf_counter() + args.seconds
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _end, seen)
    await asyncio.gather(*(_asker(args, seen, place) for place in range(args.connections)))


def _end(seen: Seen) -> None:
    seen.until = time.perf_counter() + 1


async def _asker(args: argparse.Namespace, seen: Seen, place: int) -> None:
    """One connection; with a rate it has every n-th of the planned moments."""
    chance = random.Random(place)
    every_s = args.connections / args.rate if args.rate else 0.0
    planned = time.perf_counter() + every_s * place / args.connections
    reader, writer = await asyncio.open_connection("127.0.0.1", args.port, limit=_LIMIT)
    while planned < seen.until:
        if every_s:
            await asyncio.sleep(max(0.0, planned - time.perf_counter()))
        begun = planned if every_s else time.perf_counter()
        path = f"/v1/profiles/phone/{phone(chance.randrange(args.persons))}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {args.key}\r\n\r\n".encode())
        status, body = await _answer(reader)
        seen.seconds.append(time.perf_counter() - begun)
        _look(status, body, seen)
        planned = planned + every_s if every_s else time.perf_counter()
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)


def _look(status: int, body: bytes, seen: Seen) -> None:
    if status != 200:
        seen.errors += 1
        return
    told = json.loads(body)
    seen.publications.add(told["publication"])
    seen.mixes += any(tag["value"] != str(told["publication"]) for tag in told["tags"])


if __name__ == "__main__":
    sys.exit(main())
