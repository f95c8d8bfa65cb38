"""The table that preflight prints."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

# Each column and how wide it may become: longer texts go on in the next line.
COLUMNS = {"host": 24, "check": 24, "result": 6, "found": 40, "wanted": 36, "remedy": 48}


def preflight_table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Lines of a table with aligned columns, and how many of each result."""
    cells = [[column.capitalize() for column in COLUMNS]]
    for row in rows:
        texts = (textwrap.wrap(str(row[column]), width, break_on_hyphens=False) for column, width in COLUMNS.items())
        cells += [list(line) for line in zip_longest(*texts, fillvalue="")]
    counts = Counter(row["result"] for row in rows)
    return [*_aligned(cells), ", ".join(f"{counts[result]} {result}" for result in ("Pass", "Warn", "Fail"))]


def _aligned(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by name."""
        return {"preflight_table": preflight_table}
