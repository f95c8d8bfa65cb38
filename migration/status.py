"""`migration status` for a person: one block a plan."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from migration.chunks import ChunkState
from migration.ledger import open_ledger
from migration.overview import PLACES, SHOWN_RED, overview, seam_text
from spark_jobs.settings import load

SHOWN_REASONS = 5
WIDTH = 160
MESSAGE_CHARACTERS = 200
MOST = 1_000  # red chunks and reasons that JSON lists one by one
_STATES = tuple(str(state) for state in ChunkState)


def states(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Where every plan stands, or one; reads the ledger alone and waits for nobody."""
    with open_ledger(load(args.settings).ledger_url) as ledger:
        plans = [plan for plan in ledger.plans() if args.plan in (None, plan.plan_id)]
        return [overview(ledger, plan, most=MOST if args.json else SHOWN_RED) for plan in plans]


def print_status(states: list[dict[str, Any]], console: Console | None = None) -> None:
    """Print what `overview` says of each plan."""
    # Where nobody looks at a terminal, lines may be as long as they are.
    console = console or Console(width=None if sys.stdout.isatty() else WIDTH)
    if not states:
        console.print("no plan yet; `migration plan` makes one")
    for number, state in enumerate(states):
        if number:
            console.print()
        force = "" if state["is_in_force"] else ", not in force"
        title = f"{state['job']}  plan {state['plan']}  of {_moment(state['created_at'])}{force}"
        console.print(Text(title, style="bold"))
        # Paths, reasons and messages are no markup: `[x]` in a file's name is part of it.
        for line in _lines(state):
            console.print(Text(line), soft_wrap=True)
        console.print(_chunks(state))
        console.print(_rows(state))
        for line in _below(state):
            console.print(Text(line), soft_wrap=True)


def _lines(state: Mapping[str, Any]) -> Iterator[str]:
    yield f"source     {state['source']}"
    holder, activity, last = state["run_by"], state["activity"], state["last_step"]
    if holder:
        verb = activity["verb"] if activity else "a verb"
        since = _moment(holder["since"])
        yield f"runs       {verb}, by process {holder['process']} on {holder['host']} since {since}"
    if holder and activity and "bytes_per_s" in activity:
        yield from _pace(activity)
    if state["seam"]:
        yield f"seam       {seam_text(state['seam'])}; noted {_moment(state['seam']['noted_at'])}"
    if last:
        yield f"last step  {last['name']}{', ' + last['state'] if last['state'] else ''}, {_moment(last['at'])}"


def _pace(activity: Mapping[str, Any]) -> Iterator[str]:
    late = f"{activity['recent_records_per_s']:,.0f} rows/s, {amount_of_bytes(activity['recent_bytes_per_s'])}/s"
    whole = f"{activity['records_per_s']:,.0f} rows/s, {amount_of_bytes(activity['bytes_per_s'])}/s"
    yield f"pace       {late} in the last 5 minutes; {whole} since it began"
    if wait := activity["wait"]:
        yield f"waits      until {_moment(wait['until'])} ({wait['reason']})"
    ends = f"{_moment(activity['ends_at'])}, if it goes on like this" if activity["ends_at"] else "not known yet"
    yield f"ends       {ends}; {activity['left']['chunks']:,} chunks are left"


def _chunks(state: Mapping[str, Any]) -> Table:
    shown = [name for name in _STATES if any(name in one["states"] for one in state["targets"])]
    grid = _grid("chunks", "size", "done", *shown)
    for one in state["targets"]:
        states = [f"{one['states'].get(name, 0):,}" for name in shown]
        grid.add_row(one["target"], f"{one['chunks']:,}", amount_of_bytes(one["bytes"]), _share(one), *states)
    return grid


def _rows(state: Mapping[str, Any]) -> Table:
    grid = _grid("planned rows", *PLACES)
    for one in state["targets"]:
        grid.add_row(one["target"], *(f"{one[name]:,}" for name in ("records", *PLACES)))
    return grid


def _grid(*numbers: str) -> Table:
    grid = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    grid.add_column("table", no_wrap=True)
    for name in numbers:
        grid.add_column(name, justify="right", no_wrap=True)
    return grid


def _below(state: Mapping[str, Any]) -> Iterator[str]:
    refused, red = state["quarantine"], state["red"]
    yield from _not_taken(state["not_taken"])
    if refused["reasons"]:
        yield f"refused (counted {_moment(refused['counted_at'])}):"
        shown = refused["shown"][:SHOWN_REASONS]
        yield from (f"  {one['records']:>12,}  {one['target']}: {one['reason']}" for one in shown)
        if refused["reasons"] > len(shown):
            yield f"  and {refused['reasons'] - len(shown)} further reasons (--json)"
    if red["chunks"]:
        yield f"red chunks: {red['chunks']:,}"
        yield from (f"  {one['chunk_id']}: {_short(one['message'])}" for one in red["shown"])
        if red["chunks"] > len(red["shown"]):
            yield f"  and {red['chunks'] - len(red['shown']):,} further ones (--json, or lake.migration.chunks)"


def _not_taken(left: Mapping[str, Any]) -> Iterator[str]:
    objects = left["refused"] + left["unnamed"]
    if objects:
        yield f"not taken: {left['refused']:,} objects that were refused, {left['unnamed']:,} that no mapping names"
        shown = left["shown"][:SHOWN_REASONS]
        yield from (f"  {one['source_object']}: {_short(one['reason'] or 'no mapping names it')}" for one in shown)
        if objects > len(shown):
            yield f"  and {objects - len(shown):,} further ones (--json)"


def _share(one: Mapping[str, Any]) -> str:
    """By bytes; by chunks where objects have no size."""
    done = sum(one["states"].get(str(state), 0) for state in (ChunkState.COPIED, ChunkState.VERIFIED))
    share = one["bytes_done"] / one["bytes"] if one["bytes"] else done / one["chunks"]
    # 99.96 % are not 100 %.
    return f"{int(share * 1000) / 10:.1f} %"


def _short(message: str) -> str:
    text = " ".join(message.split())
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}..."


def amount_of_bytes(amount: float) -> str:
    """With the largest unit that fits, of thousands."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            return f"{amount:,.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1000
    raise AssertionError


def _moment(text: str) -> str:
    """An instant of the ledger, to the second, UTC."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
