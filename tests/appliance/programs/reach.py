"""Which of the doors given on standard input, as pairs of host and port, take a connection."""

from __future__ import annotations

import json
import socket
import sys

opened = []
for host, port in json.load(sys.stdin):
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        continue
    opened.append(f"{host}:{port}")
sys.stdout.write(json.dumps(opened))
