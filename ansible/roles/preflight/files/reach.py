"""Does every host reach every other on the cluster's ports? The standard library alone, any Python from 3.9.

Run as `python3 - REQUEST`; REQUEST is a JSON object (vars/main.yml) whose `do` is one of:
`listen` holds the ports of a new host for some seconds and prints its doors, `reach` tries the doors of the others and
prints a JSON list of rows, `end` ends the listening.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

Request = Mapping[str, Any]
Row = dict[str, str]

CONNECT_S = 3
CLOSED = "refused"


class Door(NamedTuple):
    """A TCP port of a host; one that is not steady is of jobs, which come and go."""

    port: int
    is_steady: bool
    is_open: bool


def listen(request: Request) -> list[Door]:
    """Listen where nothing does, in a process that ends by itself and leaves nothing behind; what is open then.

    Not where Databank is installed: its services may start at any moment, and need their ports themselves.
    """
    end(request)
    own = [one for one in request["ports"] if one.get("protocol", "tcp") == "tcp"]
    # Of a range its ends: who opens these opens what is between them.
    steady = {int(port): "last" not in one for one in own for port in (one["port"], one.get("last", one["port"]))}
    if not Path(request["programs"]).exists():
        stop = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        stop.bind(name_of(request))
        held = [take(port) for port in steady]
        if os.fork() == 0:
            hold(held, stop, seconds=request["seconds"])
    return [Door(port, is_steady, not connect(request["address"], port)) for port, is_steady in steady.items()]


def hold(held: Sequence[socket.socket | None], stop: socket.socket, *, seconds: float) -> None:
    """Keep the sockets that are held until told to end; the kernel itself greets who connects."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # who started this waits until its output is closed
        os.dup2(nothing, stream)
    select.select([stop], [], [], seconds)
    del held
    os._exit(0)


def end(request: Request) -> list[int]:
    """End the listening, and see it ended."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        for _ in range(100):
            try:
                asking.sendto(b"", name_of(request))
            except OSError:  # nobody is there any more
                break
            time.sleep(0.05)
    return []


def name_of(request: Request) -> str:
    """Where the listener is told to end: an abstract name, so no file is left."""
    return f"\0{request['listener']}"


def take(port: int) -> socket.socket | None:
    """A socket that listens, or none where the port is taken or is for root alone."""
    opened = socket.socket()
    try:
        opened.bind(("", port))
        opened.listen(1024)
    except OSError:
        opened.close()
        return None
    return opened


def connect(address: str, port: int) -> str:
    """Empty, or why there is no connection."""
    try:
        socket.create_connection((address, port), CONNECT_S).close()
    except ConnectionRefusedError:
        return CLOSED
    except OSError as error:  # a silent firewall is a time-out, one that speaks is "no route"
        return (error.strerror or str(error)).lower()
    return ""


def reach(request: Request) -> list[Row]:
    """A row for each host that is not reached, or one for all."""
    peers = request["peers"]
    with ThreadPoolExecutor(64) as pool:
        tried = [
            (peer, door, pool.submit(connect, peer["address"], door.port))
            for peer in peers
            for door in (Door(*one) for one in peer["doors"])
        ]
    failed: dict[str, dict[str, list[Door]]] = defaultdict(lambda: defaultdict(list))
    for peer, door, answer in tried:
        is_idle = answer.result() == CLOSED and not door.is_open and not door.is_steady
        if answer.result() and not is_idle:
            failed[peer["host"]][answer.result()].append(door)
    found = f"{len(peers)} hosts on {len(tried)} ports"
    rows = [row(peer, failed[peer["host"]]) for peer in peers if peer["host"] in failed]
    return rows or [{"check": "tcp", "result": "Pass", "found": found, "wanted": "reached", "remedy": ""}]


def row(peer: Mapping[str, Any], failed: Mapping[str, Sequence[Door]]) -> Row:
    """What is wrong on the way to one host; a refusal where nothing listens proves nothing, so it is a warning."""
    is_proved = set(failed) != {CLOSED} or any(door.is_open for door in failed[CLOSED])
    parts = [f"{', '.join(str(door.port) for door in doors)} {why}" for why, doors in failed.items()]
    remedy = "Start the service that listens there; where it runs, a firewall refuses: open the port"
    if is_proved:
        remedy = "Open these ports between the cluster's hosts in all firewalls on the way (ports.yml lists them)"
    return {
        "check": "tcp",
        "result": "Fail" if is_proved else "Warn",
        "found": f"{peer['host']}: {'; '.join(parts)}",
        "wanted": f"reached at {peer['address']}",
        "remedy": remedy,
    }


VERBS = {"listen": listen, "reach": reach, "end": end}

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(VERBS[asked["do"]](asked)) + "\n")
