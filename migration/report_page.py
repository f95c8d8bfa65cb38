"""The report as one page that needs nothing beside itself: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from migration.overview import seam_text
from migration.page_parts import Code, Html, listing, moment, section, span, table
from migration.status import amount_of_bytes

_STYLE = Path(__file__).with_name("report.css")
_VERDICTS = {"proved": "Proved", "partly": "Proved in part", "red": "Not proved: red", "open": "Not proved yet"}
_EQUAL = (
    "Every chunk was read again from its source, mapped again and compared with the rows in the tables: they are "
    "equal, and every record has exactly one place."
)
_MEANINGS = {
    "proved": _EQUAL,
    "partly": f"{_EQUAL} That is said of what was taken, and not all of the source was.",
    "red": "A verification ended red, or at least one chunk differs from its source, could not be copied, or has "
    "records without a place.",
    "open": "Not every chunk is copied and verified yet.",
}
_PLACES = ("good", "quarantined", "duplicate")
_APART = {"name", "at", "by", "seconds", "state", "run", "program", "columns", "said"}


def page(report: Mapping[str, Any]) -> str:
    """The whole document. In: `report.final_report`; every value is escaped."""
    name, verdict = report["plan"]["job"], report["verdict"]
    sections = [
        section("Both sides", _sides(report["tables"]), _SIDES),
        section("Fingerprints", _fingerprints(report["tables"]), _FINGERPRINTS),
        section("Verification", _verification(report["tables"])),
        section("Not taken", _not_taken(report["not_taken"]), _NOT_TAKEN) if _left_out(report) else "",
        section("Refused records", _refused(report), _REFUSED),
        section("Red chunks", _red(report["red"])) if report["red"]["chunks"] else "",
        section("Time by step", _durations(report["durations"])),
        section("History", _history(report["steps"]), "<p class='note'>All times are UTC.</p>"),
        section("Columns of the migrated rows", _columns(report["tables"]), _COLUMNS),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Migration report: {escape(name)}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>\n{_STYLE.read_text(encoding='utf-8')}</style></head>\n<body><main>"
        f'<header><div><p class="kind">Migration report</p><h1>{escape(name)}</h1></div>'
        f'<p class="verdict {escape(verdict)}">{_VERDICTS[verdict]}</p></header>\n'
        f'<p class="lead" style="margin-top:18px">{_lead(report)}</p>{_figures(report["tables"])}{_facts(report)}'
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
_NOT_TAKEN = "<p class='note'>Objects of the source that are in no chunk, so that nothing above speaks of them.</p>"
_REFUSED = (
    "<p class='note'>Each is kept, encrypted, with its file and line. "
    "A reason names a rule, never a record's content.</p>"
)
_COLUMNS = "<p class='note'>As verification found them; without extremes of personal data and of nested columns.</p>"


def _lead(report: Mapping[str, Any]) -> str:
    return " ".join([_MEANINGS[report["verdict"]], *_left_out(report)])


def _left_out(report: Mapping[str, Any]) -> list[str]:
    refused, unnamed = report["not_taken"]["refused"], report["not_taken"]["unnamed"]
    told = [f"Not taken: {refused:,} objects of the source that were refused."] if refused else []
    return [*told, *([f"Not taken: {unnamed:,} objects that no mapping names."] if unnamed else [])]


def _figures(tables: Sequence[Mapping[str, Any]]) -> str:
    good, refused, double = (sum(one["target"][place] for one in tables) for place in _PLACES)
    records = sum(one["source"]["records"] for one in tables)
    size = sum(one["source"]["bytes"] for one in tables)
    figures = [("records planned", f"{records:,}"), ("in the tables", f"{good:,}"), ("quarantined", f"{refused:,}")]
    return listing([*figures, ("duplicate", f"{double:,}"), ("read from", amount_of_bytes(size))], "figures")


def _facts(report: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name.capitalize()} {version}" for name, version in report["versions"].items())
    return listing(
        [
            *(("source", report["source"]), ("readers", _readers(report["steps"]))),
            *([("live events", seam_text(report["seam"]))] if report["seam"] else []),
            *(("plan", report["plan"]["plan"]), ("planned", moment(report["plan"]["created_at"]))),
            *(("report made", f"{moment(report['made_at'])} by {report['made_by']}"), ("versions", versions)),
        ]
    )


def _readers(steps: Iterable[Mapping[str, Any]]) -> str:
    names = {
        "cut over": "switched to the new tables",
        "rolled back": "switched back to the old system",
        "finished": "on the new tables for good",
    }
    last = [step for step in steps if step["name"] in names]
    return f"{names[last[-1]['name']]}, {moment(last[-1]['at'])}" if last else "not switched"


def _sides(tables: Sequence[Mapping[str, Any]]) -> str:
    names = ("table", "chunks", "size", "records", "read", *_PLACES, "state")
    rows = [
        [
            Html(f'<span class="name">{escape(one["table"])}</span>{_bar(one["target"])}'),
            *(f"{one['chunks']:,}", amount_of_bytes(one["source"]["bytes"]), f"{one['source']['records']:,}"),
            *(f"{one['target'][place]:,}" for place in ("read", *_PLACES)),
            _state(one),
        ]
        for one in tables
    ]
    sums = [sum(one["source"][name] for one in tables) for name in ("bytes", "records")]
    places = [f"{sum(one['target'][place] for one in tables):,}" for place in ("read", *_PLACES)]
    chunks = f"{sum(one['chunks'] for one in tables):,}"
    return table(names, rows, ["all", chunks, amount_of_bytes(sums[0]), f"{sums[1]:,}", *places, ""])


def _bar(places: Mapping[str, int]) -> str:
    whole = max(sum(places[place] for place in _PLACES), 1)
    parts = (f'<span class="{p}" style="width:{100 * places[p] / whole:.3f}%"></span>' for p in _PLACES)
    return f'<span class="places" aria-hidden="true">{"".join(parts)}</span>'


def _state(one: Mapping[str, Any]) -> str:
    states = ", ".join(f"{chunks:,}\N{NO-BREAK SPACE}{state}" for state, chunks in sorted(one["states"].items()))
    return states if one["is_conserved"] else f"{states}; records without a place"


def _fingerprints(tables: Sequence[Mapping[str, Any]]) -> str:
    rows = [[one["table"], f"{one['rows']:,}", Code(str(one["digest_xor"])), Code(one["digest_sum"])] for one in tables]
    return table(("table", "rows", "xor of digests", "sum of digests"), rows)


def _verification(tables: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            *(one["table"], Code(one["contract_hash"]), Code(one["mapping_version"])),
            f"{one['verified']['version']:,}" if one["verified"] else "",
            _newest(one["verification"]),
        ]
        for one in tables
    ]
    return table(("table", "contract", "mapping", "version of the table", "verified"), rows)


def _newest(verification: Mapping[str, Any] | None) -> str:
    if verification is None:
        return "never"
    ends = {"verified": "", "verifying": "begun ", "verification failed": "red "}
    return f"{ends[verification['name']]}{moment(verification['at'])}"


def _not_taken(left: Mapping[str, Any]) -> str:
    rows = [[Code(one["source_object"]), one["reason"] or "no mapping names it"] for one in left["shown"]]
    further = left["refused"] + left["unnamed"] - len(rows)
    return table(("object", "why"), rows) + (f"<p class='note'>And {further:,} further ones.</p>" if further else "")


def _refused(report: Mapping[str, Any]) -> str:
    reasons = report["quarantine"]
    if not reasons:
        return "<p>None.</p>"
    counted = f"<p class='note'>Counted {moment(report['quarantine_counted_at'])}.</p>"
    return table(("table", "reason", "rows"), [[r["target"], r["reason"], f"{r['rows']:,}"] for r in reasons]) + counted


def _red(red: Mapping[str, Any]) -> str:
    rows = [[Code(one["chunk_id"]), one["message"], moment(one["updated_at"])] for one in red["shown"]]
    further = red["chunks"] - len(rows)
    more = f"<p class='note'>And {further:,} further ones in the list of chunks.</p>" if further else ""
    return table(("chunk", "message", "since"), rows) + more


def _durations(durations: Iterable[Mapping[str, Any]]) -> str:
    rows = [[d["verb"], f"{d['runs']:,}", f"{d['succeeded']:,}", span(d["seconds"])] for d in durations]
    return table(("step", "runs", "succeeded", "time"), rows) if rows else "<p>None was noted.</p>"


def _history(steps: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [
            Html(f'<span class="when">{moment(step["at"], zone="")}</span>'),
            step["name"],
            span(step["seconds"]) if "seconds" in step else "",
            step.get("state", ""),
            " ".join(filter(None, (step.get("by", ""), step.get("program", "")))),
            "; ".join(_told(step)),
        ]
        for step in steps
    ]
    return table(("at", "step", "took", "ended", "by, program", "facts"), rows) if rows else "<p>None was noted.</p>"


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
        f"<h3>{escape(one['table'])}</h3>" + table(("column", "nulls", "min", "max"), _column_rows(one["verified"]))
        for one in tables
        if one["verified"]
    ]
    return "".join(parts) or "<p>Not verified yet.</p>"


def _column_rows(verified: Mapping[str, Any]) -> list[list[str]]:
    found = verified["columns"].items()
    return [[name, f"{one['nulls']:,}", Code(one.get("min") or ""), Code(one.get("max") or "")] for name, one in found]


def _footer(report: Mapping[str, Any]) -> str:
    chunks = report["chunks"]
    return (
        f"<footer><p>All {chunks['rows']:,} chunks one by one: <code>{escape(chunks['file'])}</code>, SHA-256 "
        f"<code>{escape(chunks['sha256'])}</code>. The same facts for programs: "
        f"<code>migration-{escape(report['plan']['plan'])}.json</code>, format {report['format']}.</p></footer>"
    )
