"""Triggers as YAML files are read strictly; every problem of every file stands in one message."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path

from spark_jobs.contracts.topics import TRIGGERS_TOPIC
from spark_jobs.documents import parsed
from spark_jobs.errors import TerminalError
from spark_jobs.findings import Findings, Keys, shown
from spark_jobs.triggers.definitions import DAY, HOUR, Cap, Control, Quiet, Source, Title, Trigger

SHIPPED = Path(__file__).parent / "catalogue"

NAME = r"[a-z][a-z0-9_]{0,63}"
SPAN = r"([1-9]\d{0,3}) (hour|day)s?"
CLOCK = r"([01]\d|2[0-3]):([0-5]\d)"
SOURCES: tuple[Source, ...] = ("carts", "orders_unpaid")
STEPS = ("cancelled", "paid", "refunded")
CLASSES = ("finance", "health", "minors", "none")
TOPICS = (TRIGGERS_TOPIC.name,)
MOST_EXPIRES = timedelta(days=30)
MOST_CAP, MOST_CAP_DAYS = 100, 90
MOST_EVENTS = 20

FILE_KEYS: Keys = {
    "trigger": True,
    "title": True,
    "owner": True,
    "class": True,
    "source": True,
    "events": False,
    "cart_id": False,
    "cancelled_by": True,
    "after": True,
    "expires": True,
    "cap": True,
    "quiet": False,
    "control": True,
    "topic": False,
    "webhook": False,
}
TITLE_KEYS: Keys = {"en": True, "zh": True}
CAP_KEYS: Keys = {"most": True, "days": True}
QUIET_KEYS: Keys = {"since": True, "until": True}
CONTROL_KEYS: Keys = {"share": True, "salt": True}


def triggers_of(folder: Path | None, workspace: str) -> tuple[Trigger, ...]:
    """The triggers in the folder, else those shipped for the workspace, by name; TerminalError lists all problems."""
    place = folder or SHIPPED / workspace
    paths = sorted(place.glob("*.yaml"))
    if not paths:
        raise TerminalError(f"found no *.yaml in {place}; put definitions of triggers there, or name their folder")
    problems: list[str] = []
    found = []
    for path in paths:
        findings = Findings(path.name)
        raw = parsed(path, findings.problems)
        if not findings.problems:
            found.append(_read(raw, path.stem, findings))
        problems += findings.problems
    if problems:
        lines = "\n  ".join(problems)
        raise TerminalError(f"triggers {place}: {len(problems)} problems, nothing was done:\n  {lines}")
    return tuple(one for one in found if one is not None)


def _read(raw: object, stem: str, findings: Findings) -> Trigger | None:
    given = findings.mapping(raw, "", FILE_KEYS)
    if not given:
        return None
    source: Source = "orders_unpaid" if given.get("source") == "orders_unpaid" else "carts"
    findings.choice(given.get("source"), "source", SOURCES, what="source")
    name = _name(given.get("trigger"), "trigger", findings)
    if name and name != stem:
        findings.add("trigger", f"found '{name}', wanted '{stem}', the name of the file")
    if findings.choice(given.get("class"), "class", CLASSES, what="class") not in (None, "none"):
        findings.add("class", "a trigger of a sensitive class would tell of it outside; wanted none")
    after = _span(given.get("after"), "after", findings)
    expires = _span(given.get("expires"), "expires", findings)
    if after >= expires or expires > MOST_EXPIRES:
        findings.add("expires", f"wanted more than `after`, and at most {MOST_EXPIRES // DAY} days")
    return Trigger(
        name=name,
        title=_title(given.get("title"), findings),
        owner=_name(given.get("owner"), "owner", findings),
        source=source,
        events=_events(given, source, findings),
        cart_id=_cart_id(given, source, findings),
        cancelled_by=_cancelled_by(given.get("cancelled_by"), source, findings),
        after=after,
        expires=expires,
        cap=_cap(given.get("cap"), findings),
        quiet=_quiet(given["quiet"], findings) if "quiet" in given else None,
        control=_control(given.get("control"), findings),
        topic=findings.choice(given.get("topic", TOPICS[0]), "topic", TOPICS, what="topic") or TOPICS[0],
        webhook=findings.true_or_false(given.get("webhook", False), "webhook"),
    )


def _name(raw: object, where: str, findings: Findings) -> str:
    text = findings.text(raw, where)
    if text and not re.fullmatch(NAME, text):
        findings.add(where, f"found {shown(raw)}, wanted a letter, then letters a-z, digits and _, 64 at most")
    return text


def _title(raw: object, findings: Findings) -> Title:
    given = {} if raw is None else findings.mapping(raw, "title", TITLE_KEYS)
    return Title(findings.text(given.get("en"), "title.en"), findings.text(given.get("zh"), "title.zh"))


def _events(given: dict[str, object], source: Source, findings: Findings) -> tuple[str, ...]:
    if source == "carts":
        return _texts(given.get("events"), "events", findings)
    if "events" in given:
        findings.add("events", "only a trigger of carts has events")
    return ()


def _cart_id(given: dict[str, object], source: Source, findings: Findings) -> str:
    if "cart_id" not in given:
        return ""
    if source != "carts":
        findings.add("cart_id", "only a trigger of carts has one")
    return _name(given["cart_id"], "cart_id", findings)


def _cancelled_by(raw: object, source: Source, findings: Findings) -> tuple[str, ...]:
    if raw is None:
        return ()
    texts = _texts(raw, "cancelled_by", findings)
    if source == "orders_unpaid":
        for place, one in enumerate(texts):
            findings.choice(one, f"cancelled_by.{place}", STEPS, what="step of an order")
    return texts


def _texts(raw: object, where: str, findings: Findings) -> tuple[str, ...]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= MOST_EVENTS:
        findings.add(where, f"found {shown(raw)}, wanted a list of 1 to {MOST_EVENTS} names")
        return ()
    texts = tuple(findings.text(one, f"{where}.{place}", is_needed=True) for place, one in enumerate(raw))
    if len(set(texts)) < len(texts):
        findings.add(where, "something stands twice")
    return texts


def _span(raw: object, where: str, findings: Findings) -> timedelta:
    found = re.fullmatch(SPAN, raw) if isinstance(raw, str) else None
    if found is None:
        if raw is not None:
            findings.add(where, f"found {shown(raw)}, wanted a time such as 24 hours or 3 days")
        return HOUR
    return int(found[1]) * (HOUR if found[2] == "hour" else DAY)


def _cap(raw: object, findings: Findings) -> Cap:
    given = {} if raw is None else findings.mapping(raw, "cap", CAP_KEYS)
    most = _whole(given.get("most"), "cap.most", range(1, MOST_CAP + 1), findings)
    return Cap(most, _whole(given.get("days"), "cap.days", range(1, MOST_CAP_DAYS + 1), findings))


def _whole(raw: object, where: str, wanted: Collection[int], findings: Findings) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool) and raw in wanted:
        return raw
    if raw is not None:
        findings.add(where, f"found {shown(raw)}, wanted a whole number from {min(wanted)} to {max(wanted)}")
    return 1


def _quiet(raw: object, findings: Findings) -> Quiet:
    given = findings.mapping(raw, "quiet", QUIET_KEYS)
    quiet = Quiet(
        _clock(given.get("since"), "quiet.since", findings), _clock(given.get("until"), "quiet.until", findings)
    )
    if len(given) == len(QUIET_KEYS) and quiet.since == quiet.until:
        findings.add("quiet", "since and until are the same; leave `quiet` away where nobody is to be spared")
    return quiet


def _clock(raw: object, where: str, findings: Findings) -> time:
    found = re.fullmatch(CLOCK, raw) if isinstance(raw, str) else None
    if found is None:
        if raw is not None:
            # YAML 1.1 reads 21:30 as a number of base 60.
            findings.add(where, f"found {shown(raw)}, wanted a quoted time such as '21:30'")
        return time()
    return time(int(found[1]), int(found[2]))


def _control(raw: object, findings: Findings) -> Control:
    given = {} if raw is None else findings.mapping(raw, "control", CONTROL_KEYS)
    share = findings.share(given["share"], "control.share") if "share" in given else Decimal(0)
    return Control(share, findings.text(given.get("salt"), "control.salt"))
