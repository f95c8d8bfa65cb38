"""The report as one page that needs nothing beside itself: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from migration.status import amount_of_bytes

_STYLE = Path(__file__).with_name("report.css")
_VERDICTS = {"proved": "Proved", "red": "Not proved: red", "open": "Not proved yet"}
_MEANINGS = {
    "proved": "Every chunk was read again from its source, mapped again and compared with the rows in the tables: "
    "they are equal, and every record has exactly one place.",
    "red": "At least one chunk differs from its source, could not be copied, or has records without a place.",
    "open": "Not every chunk is copied and verified yet.",
}
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
_PLACES = ("good", "quarantined", "duplicate")
_APART = {"name", "at", "by", "seconds", "state", "run", "program", "columns", "said"}


def page(report: Mapping[str, Any]) -> str:
    """The whole document. In: `report.final_report`; every value is escaped."""
    name, verdict = report["plan"]["job"], report["verdict"]
    sections = [
        _section("Both sides", _sides(report["tables"]), _SIDES),
        _section("Fingerprints", _fingerprints(report["tables"]), _FINGERPRINTS),
        _section("Verification", _verification(report["tables"])),
        _section("Refused records", _refused(report), _REFUSED),
        _section("Red chunks", _red(report["red"])) if report["red"]["chunks"] else "",
        _section("Time by step", _durations(report["durations"])),
        _section("History", _history(report["steps"]), "<p class='note'>All times are UTC.</p>"),
        _section("Columns of the migrated rows", _columns(report["tables"]), _COLUMNS),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Migration report: {escape(name)}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>\n{_STYLE.read_text(encoding='utf-8')}</style></head>\n<body><main>"
        f'<header><div><p class="kind">Migration report</p><h1>{escape(name)}</h1></div>'
        f'<p class="verdict {escape(verdict)}">{_VERDICTS[verdict]}</p></header>\n'
        f'<p class="lead" style="margin-top:18px">{_MEANINGS[verdict]}</p>{_figures(report["tables"])}{_facts(report)}'
        f"{''.join(sections)}{_footer(report)}</main></body></html>\n"
    )


_SIDES = (
    "<p class='note'>Left what the source holds, as it was planned; right where its records are. "
    "<i>Read = good + quarantined + duplicate</i> is checked for each chunk before it counts as copied. A duplicate is "
    "a record whose natural key another one has that stays.</p>"
)
_FINGERPRINTS = (
    "<p class='note'>Rows, exclusive or and exact sum of the 64-bit digests of all good rows of a table, by its "
    "contract. Of a verified chunk both sides have the same ones; the list of chunks has them one by one.</p>"
)
_REFUSED = (
    "<p class='note'>Each is kept, encrypted, with its file and line. "
    "A reason names a rule, never a record's content.</p>"
)
_COLUMNS = "<p class='note'>As verification found them; without extremes of personal data and of nested columns.</p>"


def _figures(tables: Sequence[Mapping[str, Any]]) -> str:
    good, refused, double = (sum(one["target"][place] for one in tables) for place in _PLACES)
    records = sum(one["source"]["records"] for one in tables)
    size = sum(one["source"]["bytes"] for one in tables)
    figures = [("records planned", f"{records:,}"), ("in the tables", f"{good:,}"), ("quarantined", f"{refused:,}")]
    return _list([*figures, ("duplicate", f"{double:,}"), ("read from", amount_of_bytes(size))], "figures")


def _facts(report: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name.capitalize()} {version}" for name, version in report["versions"].items())
    return _list(
        [
            *(("source", report["source"]), ("readers", _readers(report["steps"]))),
            *(("plan", report["plan"]["plan"]), ("planned", _moment(report["plan"]["created_at"]))),
            *(("report made", f"{_moment(report['made_at'])} by {report['made_by']}"), ("versions", versions)),
        ]
    )


def _readers(steps: Iterable[Mapping[str, Any]]) -> str:
    names = {
        "cut over": "switched to the new tables",
        "rolled back": "switched back to the old system",
        "finished": "on the new tables for good",
    }
    last = [step for step in steps if step["name"] in names]
    return f"{names[last[-1]['name']]}, {_moment(last[-1]['at'])}" if last else "not switched"


def _sides(tables: Sequence[Mapping[str, Any]]) -> str:
    names = ("table", "chunks", "size", "records", "read", *_PLACES, "state")
    rows = [
        [
            _Html(f'<span class="name">{escape(one["table"])}</span>{_bar(one["target"])}'),
            *(f"{one['chunks']:,}", amount_of_bytes(one["source"]["bytes"]), f"{one['source']['records']:,}"),
            *(f"{one['target'][place]:,}" for place in ("read", *_PLACES)),
            _state(one),
        ]
        for one in tables
    ]
    sums = [sum(one["source"][name] for one in tables) for name in ("bytes", "records")]
    places = [f"{sum(one['target'][place] for one in tables):,}" for place in ("read", *_PLACES)]
    chunks = f"{sum(one['chunks'] for one in tables):,}"
    return _table(names, rows, ["all", chunks, amount_of_bytes(sums[0]), f"{sums[1]:,}", *places, ""])


def _bar(places: Mapping[str, int]) -> str:
    whole = max(sum(places[place] for place in _PLACES), 1)
    parts = (f'<span class="{p}" style="width:{100 * places[p] / whole:.3f}%"></span>' for p in _PLACES)
    return f'<span class="places" aria-hidden="true">{"".join(parts)}</span>'


def _state(one: Mapping[str, Any]) -> str:
    states = ", ".join(f"{chunks:,}\N{NO-BREAK SPACE}{state}" for state, chunks in sorted(one["states"].items()))
    return states if one["is_conserved"] else f"{states}; records without a place"


def _fingerprints(tables: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [one["table"], f"{one['rows']:,}", _Code(str(one["digest_xor"])), _Code(one["digest_sum"])] for one in tables
    ]
    return _table(("table", "rows", "xor of digests", "sum of digests"), rows)


def _verification(tables: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            *(one["table"], _Code(one["contract_hash"]), _Code(one["mapping_version"])),
            *(
                (f"{one['verified']['version']:,}", _moment(one["verified"]["at"]))
                if one["verified"]
                else ("", "never")
            ),
        ]
        for one in tables
    ]
    return _table(("table", "contract", "mapping", "version of the table", "verified"), rows)


def _refused(report: Mapping[str, Any]) -> str:
    reasons = report["quarantine"]
    if not reasons:
        return "<p>None.</p>"
    counted = f"<p class='note'>Counted {_moment(report['quarantine_counted_at'])}.</p>"
    return (
        _table(("table", "reason", "rows"), [[r["target"], r["reason"], f"{r['rows']:,}"] for r in reasons]) + counted
    )


def _red(red: Mapping[str, Any]) -> str:
    rows = [[_Code(one["chunk_id"]), one["message"], _moment(one["updated_at"])] for one in red["shown"]]
    further = red["chunks"] - len(rows)
    more = f"<p class='note'>And {further:,} further ones in the list of chunks.</p>" if further else ""
    return _table(("chunk", "message", "since"), rows) + more


def _durations(durations: Iterable[Mapping[str, Any]]) -> str:
    rows = [[d["verb"], f"{d['runs']:,}", f"{d['succeeded']:,}", _span(d["seconds"])] for d in durations]
    return _table(("step", "runs", "succeeded", "time"), rows) if rows else "<p>None was noted.</p>"


def _history(steps: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [
            _Html(f'<span class="when">{_moment(step["at"], zone="")}</span>'),
            step["name"],
            _span(step["seconds"]) if "seconds" in step else "",
            step.get("state", ""),
            " ".join(filter(None, (step.get("by", ""), step.get("program", "")))),
            "; ".join(_told(step)),
        ]
        for step in steps
    ]
    return _table(("at", "step", "took", "ended", "by, program", "facts"), rows) if rows else "<p>None was noted.</p>"


def _told(step: Mapping[str, Any]) -> Iterator[str]:
    if step.get("said"):
        yield step["said"]
    for name, value in step.items():
        if name not in _APART and (text := _fact(value)):
            yield f"{name.replace('_', ' ')} {text}"


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_fact(one)}" for name, one in value.items())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _columns(tables: Sequence[Mapping[str, Any]]) -> str:
    parts = [
        f"<h3>{escape(one['table'])}</h3>" + _table(("column", "nulls", "min", "max"), _column_rows(one["verified"]))
        for one in tables
        if one["verified"]
    ]
    return "".join(parts) or "<p>Not verified yet.</p>"


def _column_rows(verified: Mapping[str, Any]) -> list[list[str]]:
    found = verified["columns"].items()
    return [
        [name, f"{one['nulls']:,}", _Code(one.get("min") or ""), _Code(one.get("max") or "")] for name, one in found
    ]


def _footer(report: Mapping[str, Any]) -> str:
    chunks = report["chunks"]
    return (
        f"<footer><p>All {chunks['rows']:,} chunks one by one: <code>{escape(chunks['file'])}</code>, SHA-256 "
        f"<code>{escape(chunks['sha256'])}</code>. The same facts for programs: "
        f"<code>migration-{escape(report['plan']['plan'])}.json</code>, format {report['format']}.</p></footer>"
    )


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


class _Code(str):
    """Text that is shown letter by letter."""

    __slots__ = ()


def _section(title: str, content: str, lead: str = "") -> str:
    return f"<section><h2>{escape(title)}</h2>{lead}{content}</section>\n"


def _list(items: Iterable[tuple[str, str]], kind: str = "") -> str:
    pairs = (
        f'<div class="{_WIDE.get(name, "")}"><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>'
        for name, text in items
    )
    return f'<dl class="{kind}">{"".join(pairs)}</dl>'


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], total: Sequence[str] = ()) -> str:
    marks = [' class="number"' if name in _NUMBERS else "" for name in names]
    head = "".join(f"<th{mark}>{escape(name)}</th>" for name, mark in zip(names, marks, strict=True))
    lines = ["".join(_cell(text, mark) for text, mark in zip(row, marks, strict=True)) for row in rows]
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    if total:
        body += f'<tr class="sum">{"".join(_cell(text, mark) for text, mark in zip(total, marks, strict=True))}</tr>'
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str, mark: str) -> str:
    content = text if isinstance(text, _Html) else escape(text)
    return f"<td{mark}>{f'<code>{content}</code>' if isinstance(text, _Code) else content}</td>"


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _moment(text: str, *, zone: str = " UTC") -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}{zone}"
