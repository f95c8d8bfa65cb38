"""Loopback ports: free ones, or one that was asked for."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from contextlib import ExitStack

from spark_jobs.errors import TerminalError

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]


def is_free(port: int) -> bool:
    """True when a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def pick(asked: int | None, remembered: int | None, *, program: str, others: Mapping[str, int]) -> int:
    """The port asked for (TerminalError when it is taken), else the one used last while it is free, else a free one.

    `others` are ports that were picked for programs which do not listen yet.
    """
    port = _pick(asked, remembered, program=program, avoid=others.values())
    for other, taken in others.items():
        if port == taken:
            raise TerminalError(
                f"{program} and {other} cannot both listen on {LOOPBACK}:{port} (asked for, or kept from the last "
                f"start); choose another port for one of them (--{program.lower()}-port, --{other.lower()}-port)"
            )
    return port


def _pick(asked: int | None, remembered: int | None, *, program: str, avoid: Collection[int]) -> int:
    if asked is not None:
        if not is_free(asked):
            raise TerminalError(
                f"{program} cannot listen on {LOOPBACK}:{asked}: the port is in use. "
                f"Stop what uses it (`ss -ltnp 'sport = :{asked}'` names it), or choose another port"
            )
        return asked
    if remembered is not None and is_free(remembered):
        return remembered
    return next(port for port in free_ports(len(avoid) + 1) if port not in avoid)
