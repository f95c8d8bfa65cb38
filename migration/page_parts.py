"""Parts of an HTML page: sections, tables, lists, lengths of time, moments; every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

_NUMBERS = {
    "chunks",
    "size",
    "records",
    "read",
    "good",
    "quarantined",
    "duplicate",
    "rows",
    "runs",
    "succeeded",
    "time",
}
_NUMBERS |= {"nulls", "sum of digests", "xor of digests", "took", "version of the table"}
_WIDE = dict.fromkeys(("source", "versions"), "wide")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


class Code(str):
    """Text that is shown letter by letter."""

    __slots__ = ()


def section(title: str, content: str, lead: str = "") -> str:
    """A titled part of the page; content and lead are HTML."""
    return f"<section><h2>{escape(title)}</h2>{lead}{content}</section>\n"


def listing(items: Iterable[tuple[str, str]], kind: str = "") -> str:
    """Names and what they are."""
    pairs = (
        f'<div class="{_WIDE.get(name, "")}"><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>'
        for name, text in items
    )
    return f'<dl class="{kind}">{"".join(pairs)}</dl>'


def table(names: Sequence[str], rows: Iterable[Sequence[str]], total: Sequence[str] = ()) -> str:
    """Rows under the names of their columns; columns of numbers are known by name."""
    marks = [' class="number"' if name in _NUMBERS else "" for name in names]
    head = "".join(f"<th{mark}>{escape(name)}</th>" for name, mark in zip(names, marks, strict=True))
    lines = ["".join(_cell(text, mark) for text, mark in zip(row, marks, strict=True)) for row in rows]
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    if total:
        body += f'<tr class="sum">{"".join(_cell(text, mark) for text, mark in zip(total, marks, strict=True))}</tr>'
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str, mark: str) -> str:
    content = text if isinstance(text, Html) else escape(text)
    return f"<td{mark}>{f'<code>{content}</code>' if isinstance(text, Code) else content}</td>"


def span(seconds: float) -> str:
    """A length of time as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def moment(text: str, *, zone: str = " UTC") -> str:
    """An instant of the ledger, to the second."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}{zone}"
