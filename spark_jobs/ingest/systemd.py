"""What systemd is told by a service of `NotifyAccess=main`, for `systemctl status`; silence where none listens."""

from __future__ import annotations

import os
import socket

RUNNING = "the stream runs"


def tell(status: str) -> None:
    """Say what the service does now (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.sendto(f"STATUS={status}".encode(), "\0" + address[1:] if address.startswith("@") else address)
