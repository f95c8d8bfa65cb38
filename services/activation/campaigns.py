"""What a campaign is: to whom, through which channel and adapter, with which words; YAML files, checked whole."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

from services.activation.templates import variables_of
from spark_jobs.documents import parsed
from spark_jobs.errors import TerminalError
from spark_jobs.findings import Findings, Keys, listed, shown

SHIPPED = Path(__file__).parent / "campaigns"
NAME = r"[a-z][a-z0-9_]{0,63}"
ADAPTERS = ("file", "mock")
MOST_PERSONS = 100_000_000

Channel = Literal["official_account", "sms", "coupon", "in_site"]


@dataclass(frozen=True, slots=True)
class Contract:
    """What a channel takes: types of identifiers, the preferred one first, and the parts of a message."""

    identifiers: tuple[str, ...]
    parts: tuple[str, ...]


CHANNELS: Mapping[Channel, Contract] = {
    "official_account": Contract(("openid",), ("template_id", "text")),
    "sms": Contract(("phone",), ("text",)),
    "coupon": Contract(("member_no",), ("coupon_id", "text")),
    "in_site": Contract(("member_no", "login", "device"), ("title", "text")),
}
KINDS = ("text", "tag", "field")
FIELDS = ("object_id", "trigger", "waits")

FILE_KEYS: Keys = {
    "campaign": True,
    "owner": True,
    "purpose": True,
    "receiver": True,
    "audience": True,
    "control": False,
    "largest_change": True,
    "channel": True,
    "adapter": True,
    "message": True,
    "variables": False,
}
TAG_KEYS: Keys = {"tag": True, "is": True}
TRIGGER_KEYS: Keys = {"trigger": True}
CONTROL_KEYS: Keys = {"share": True, "salt": True}
CHANGE_KEYS: Keys = {"persons": True, "share": True}


@dataclass(frozen=True, slots=True)
class Audience:
    """Persons with a value of a tag, of whom a trigger tells, or who are in the audience `name`; the others are ''."""

    tag: str = ""
    values: tuple[str, ...] = ()
    trigger: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """What stands for a name in a message: a text, the person's value of a tag, or a field of the trigger."""

    name: str
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign. `share` and `salt` choose the control group of a tag or an audience; a trigger has its own.

    It stops where more than `most_persons` enter at once or, behind the first wave of a tag or an audience, more than
    `most_share` of the persons before.
    """

    name: str
    owner: str
    purpose: str
    receiver: str
    audience: Audience
    share: Decimal
    salt: str
    most_persons: int
    most_share: Decimal
    channel: Channel
    adapter: str
    message: tuple[tuple[str, str], ...]
    variables: tuple[Variable, ...]

    @property
    def digest(self) -> str:
        """16 hex digits of the whole definition."""
        text = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_campaign(path: Path) -> Campaign:
    """The campaign that a file defines; TerminalError lists all problems of it."""
    findings = Findings(path.name)
    raw = parsed(path, findings.problems)
    campaign = _read(raw, path.stem, findings) if not findings.problems else None
    if campaign is None or findings.problems:
        lines = "\n  ".join(findings.problems)
        raise TerminalError(f"campaign {path}: {len(findings.problems)} problems, nothing was sent:\n  {lines}")
    return campaign


def _read(raw: object, stem: str, findings: Findings) -> Campaign | None:
    given = findings.mapping(raw, "", FILE_KEYS)
    if not given:
        return None
    name = _name(given.get("campaign"), "campaign", findings)
    if name and name != stem:
        findings.add("campaign", f"found '{name}', wanted '{stem}', the name of the file")
    audience = _audience(given.get("audience"), findings)
    share, salt = _control(given, audience, findings)
    change = _mapping(given.get("largest_change"), "largest_change", CHANGE_KEYS, findings)
    channel = _channel(given.get("channel"), findings)
    campaign = Campaign(
        name=name,
        owner=_name(given.get("owner"), "owner", findings),
        purpose=findings.text(given.get("purpose"), "purpose"),
        receiver=_name(given.get("receiver"), "receiver", findings),
        audience=audience,
        share=share,
        salt=salt,
        most_persons=_persons(change.get("persons"), findings),
        most_share=findings.share(change["share"], "largest_change.share") if "share" in change else Decimal(0),
        channel=channel,
        adapter=findings.choice(given.get("adapter"), "adapter", ADAPTERS, what="adapter") or ADAPTERS[0],
        message=_message(given.get("message"), channel, findings),
        variables=_variables(given.get("variables", {}), audience, findings),
    )
    _check_words(campaign, findings)
    return campaign


def _mapping(raw: object, where: str, keys: Keys, findings: Findings) -> dict[str, object]:
    """The mapping; of one that is missing somebody else has told."""
    return {} if raw is None else findings.mapping(raw, where, keys)


def _name(raw: object, where: str, findings: Findings) -> str:
    text = findings.text(raw, where)
    if text and not re.fullmatch(NAME, text):
        findings.add(where, f"found {shown(raw)}, wanted a letter, then letters a-z, digits and _, 64 at most")
    return text


def _audience(raw: object, findings: Findings) -> Audience:
    if raw is None:
        return Audience()
    if isinstance(raw, str):
        return Audience(name=_name(raw, "audience", findings))
    if isinstance(raw, dict) and "trigger" in raw:
        given = findings.mapping(raw, "audience", TRIGGER_KEYS)
        return Audience(trigger=_name(given.get("trigger"), "audience.trigger", findings))
    given = findings.mapping(raw, "audience", TAG_KEYS)
    values = given.get("is")
    if not isinstance(values, list) or not values:
        if "is" in given:
            findings.add("audience.is", f"found {shown(values)}, wanted a list of values")
        values = []
    texts = tuple(findings.text(one, f"audience.is.{place}", is_needed=True) for place, one in enumerate(values))
    return Audience(tag=_name(given.get("tag"), "audience.tag", findings), values=texts)


def _control(given: Mapping[str, object], audience: Audience, findings: Findings) -> tuple[Decimal, str]:
    if audience.trigger:
        if "control" in given:
            findings.add("control", "a trigger has a control group of its own; take this away")
        return Decimal(0), ""
    control = findings.mapping(given.get("control"), "control", CONTROL_KEYS)
    share = findings.share(control["share"], "control.share") if "share" in control else Decimal(0)
    return share, findings.text(control.get("salt"), "control.salt")


def _persons(raw: object, findings: Findings) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= MOST_PERSONS:
        return raw
    if raw is not None:
        findings.add("largest_change.persons", f"found {shown(raw)}, wanted a number from 1 to {MOST_PERSONS}")
    return 1


def _channel(raw: object, findings: Findings) -> Channel:
    findings.choice(raw, "channel", tuple(CHANNELS), what="channel")
    otherwise: Channel = "sms"
    return next((channel for channel in CHANNELS if channel == raw), otherwise)


def _message(raw: object, channel: Channel, findings: Findings) -> tuple[tuple[str, str], ...]:
    if raw is None:
        return ()
    parts = CHANNELS[channel].parts
    given = findings.mapping(raw, "message", dict.fromkeys(parts, True))
    return tuple((part, findings.text(given.get(part), f"message.{part}")) for part in parts)


def _variables(raw: object, audience: Audience, findings: Findings) -> tuple[Variable, ...]:
    if raw == {}:
        return ()
    found = []
    for name, one in findings.entries(raw, "variables").items():
        where = f"variables.{name}"
        _name(name, where, findings)
        given = findings.mapping(one, where, dict.fromkeys(KINDS, False))
        if len(given) != 1:
            findings.add(where, f"wanted one of {', '.join(KINDS)}")
            continue
        ((kind, value),) = given.items()
        text = findings.text(value, f"{where}.{kind}", is_needed=True)
        if kind == "field":
            findings.choice(text, f"{where}.field", FIELDS, what="field")
            if not audience.trigger:
                findings.add(where, "only a trigger has fields")
        found.append(Variable(name, kind, text))
    return tuple(found)


def _check_words(campaign: Campaign, findings: Findings) -> None:
    """Every variable of the message is declared, and every one that is declared stands in it."""
    declared = {variable.name for variable in campaign.variables}
    used: set[str] = set()
    for part, text in campaign.message:
        try:
            used |= set(variables_of(text))
        except ValueError as error:
            findings.add(f"message.{part}", str(error))
    for name in sorted(used - declared):
        findings.add("message", f"${name} is not declared under `variables`; those that are: {listed(declared)}")
    for name in sorted(declared - used):
        findings.add(f"variables.{name}", "stands in no part of the message")
