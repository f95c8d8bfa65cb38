"""`python -m services NAME`: runs one service; each has `main(argv) -> exit status` in its own `__main__`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

SERVICES: Mapping[str, str] = {
    "activation": "services.activation.__main__",
    "audiences": "services.audiences.__main__",
    "bundle": "services.bundle.__main__",
    "canary": "services.watch.canary",
    "cluster": "services.cluster.__main__",
    "demo": "services.demo.__main__",
    "event_logs": "services.event_logs.__main__",
    "ingest_watch": "services.watch.ingest",
    "profiles": "services.profiles.__main__",
    "smoke": "services.smoke.__main__",
    "topics": "services.topics.__main__",
}
USAGE = 2


def main(argv: list[str]) -> int:
    """Run the service that the first argument names with the others."""
    if not argv or argv[0] not in SERVICES:
        names = ", ".join(SERVICES)
        is_help = bool(argv) and argv[0] in {"-h", "--help"}
        stream = sys.stdout if is_help else sys.stderr
        stream.write(f"usage: python -m services NAME ...\nNAME is one of: {names}; NAME --help says more\n")
        return 0 if is_help else USAGE
    status: int = importlib.import_module(SERVICES[argv[0]]).main(argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
