"""The tables of docs/install.md: what each component needs, and every port; from the data that preflight uses.

`python -m services.cluster.reference` writes them anew; a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from services.setup import paths

PAGE = paths.REPO / "docs" / "install.md"
_VARIABLES = paths.REPO / "ansible" / "playbooks" / "group_vars" / "all"
_BLOCK = re.compile(r"(<!-- (\w+), generated -->\n).*?(<!-- end -->)", re.DOTALL)


def tables() -> dict[str, str]:
    """Each table by its name."""
    sizing = _read("sizing.yml")["databank_sizing"]
    ports = _read("ports.yml")["databank_ports"]
    needs = [[one["name"], one["group"], f"{one['memory_mb']:,}", one["disk_gb"], one["cpus"]] for one in sizing]
    doors = [
        [
            f"{one['port']}-{one['last']}" if "last" in one else one["port"],
            one.get("protocol", "tcp"),
            one["name"],
            one["group"],
            one["open_to"],
        ]
        for one in ports
    ]
    return {
        "sizing": _table(["component", "group", "memory (MB)", "disk (GB)", "CPUs"], needs),
        "ports": _table(["port", "protocol", "what for", "hosts of", "open to"], doors),
    }


def with_tables(page: str) -> str:
    """The page with its tables as they are today."""
    made = tables()
    return _BLOCK.sub(lambda found: f"{found[1]}{made[found[2]]}{found[3]}", page)


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((_VARIABLES / name).read_text(encoding="utf-8"))
    return found


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
