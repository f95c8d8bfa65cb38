"""What systemd is told by a service of `Type=notify`; silence where none listens."""

from __future__ import annotations

import os
import socket


def tell_ready() -> None:
    """Say that the service does its work now (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)
