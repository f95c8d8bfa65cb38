"""One run of a campaign: who enters, is the change not too large, and out it goes; repeated, it goes on from there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from services.activation import audience, refusing
from services.activation.adapters import Adapter, Wave
from services.activation.audience import Entering
from services.activation.basis import Basis
from services.activation.campaigns import Audience, Campaign
from services.activation.members import audiences_of
from services.activation.store import Claim, Standing, Store
from services.profiles.lake import Lake
from services.profiles.published import newest_published
from spark_jobs.contracts.identity import IDENTITY_SNAPSHOTS
from spark_jobs.contracts.triggers import TRIGGER_RUNS
from spark_jobs.errors import TerminalError
from spark_jobs.exports.pseudonyms import replaced
from spark_jobs.people.refusals import Note
from spark_jobs.triggers.moments import micros_of


@dataclass(frozen=True, slots=True)
class Doors:
    """What a run works with. `key_file` is the root key, of which the receiver's ids are made."""

    lake: Lake
    store: Store
    adapter: Adapter
    key_file: Path


@dataclass(frozen=True, slots=True)
class Refusals:
    """Who refuses profiling: a tag ('' for none), and notes of the store of profiles."""

    tag: str
    notes: Iterable[Note]


def run(
    doors: Doors, campaign: Campaign, workspace: str, refusals: Refusals, *, now: datetime, accept: int | None
) -> dict[str, object]:
    """Finish the wave that was begun, else begin and finish one; the counts.

    TerminalError where the change is too large, unless `accept` is the number of those who enter.
    """
    standing = doors.store.newest(campaign.name)
    if standing is not None and standing.state == "begun":
        _look_again(doors.lake, campaign, workspace, refusals, now=now)
        return {"campaign": campaign.name, "wave": standing.number, **_send(doors, campaign, standing.number)}
    basis, source = _basis(doors.lake, campaign, workspace, refusals, now=now), standing.source if standing else 0
    seen = replace(basis, source=source)
    refusing.make_notes(doors.lake, refusals.notes)
    audience.make_known(doors.lake, doors.store.units(campaign.name))
    found = audience.enter(doors.lake, campaign, seen, refusal_tag=refusals.tag)
    facts: dict[str, object] = {"campaign": campaign.name, "wave": standing.number if standing else 0, **asdict(found)}
    if not found.entering:
        return {**facts, "sent": 0}
    _guard(campaign, found, standing, accept=accept)
    claim = Claim(
        campaign=campaign.name,
        number=standing.number + 1 if standing else 1,
        workspace=workspace,
        publication=basis.published.number if basis.published else 0,
        source=basis.source,
        audience=found.audience,
        entered=found.entering,
        definition=campaign.digest,
    )
    doors.store.claim(claim, audience.entering(doors.lake))
    return {**facts, "wave": claim.number, **_send(doors, campaign, claim.number)}


def _look_again(lake: Lake, campaign: Campaign, workspace: str, refusals: Refusals, *, now: datetime) -> None:
    """Who refuses by now: a wave that was begun some time ago tells them nothing any more."""
    # Whom it goes to stands in the store: neither audience nor words are asked for.
    known = replace(campaign, audience=Audience(), variables=())
    refusing.make_notes(lake, refusals.notes)
    refusing.make_refused(lake, _basis(lake, known, workspace, refusals, now=now), refusal_tag=refusals.tag)


def _guard(campaign: Campaign, found: Entering, standing: Standing | None, *, accept: int | None) -> None:
    if accept == found.entering:
        return
    reasons = []
    if found.entering > campaign.most_persons:
        reasons.append(f"more than {campaign.most_persons} persons")
    if not campaign.audience.trigger and standing and found.entering > campaign.most_share * standing.audience:
        reasons.append(f"more than {campaign.most_share} of the {standing.audience} of the wave before")
    if reasons:
        raise TerminalError(
            f"campaign {campaign.name}: {found.entering} would enter, {' and '.join(reasons)}; nothing was sent. Look "
            f"at the rule behind it; where it is right, say --accept {found.entering}"
        )


def _send(doors: Doors, campaign: Campaign, number: int) -> dict[str, int]:
    """Hand a wave over; how many messages, and how many not, because their persons refuse since it began."""
    wave = Wave(campaign.name, number, campaign.channel, campaign.receiver)
    left_out: list[int] = []
    messages = refusing.not_refusing(doors.lake, doors.store.messages(campaign.name, number), left_out)
    sent = doors.adapter.send(wave, replaced(messages, "token", receiver=campaign.receiver, key_file=doors.key_file))
    doors.store.sent(campaign.name, number)
    return {"sent": sent, "withheld": sum(left_out)}


def _basis(lake: Lake, campaign: Campaign, workspace: str, refusals: Refusals, *, now: datetime) -> Basis:
    """What is in force now; `source` is how far the audience's source is."""
    chosen_by = campaign.audience
    of_words = any(one.kind == "tag" for one in campaign.variables)
    wants_tags = bool(chosen_by.tag or chosen_by.name or refusals.tag or of_words)
    published = newest_published(lake, workspace) if wants_tags else None
    audiences = audiences_of(lake, campaign, published) if published and chosen_by.name else None
    if published is not None:
        snapshot_us = published.snapshot_us
    else:
        sql = "SELECT max(epoch_us(published_at)) FROM snapshots"
        ((newest,),) = lake.rows(sql, {"snapshots": IDENTITY_SNAPSHOTS}, {})
        if newest is None:
            raise TerminalError("no identity snapshot is published; run `./databank identity run` first")
        snapshot_us = int(newest)
    source = published.number if published else 0
    if audiences is not None:
        source = audiences.number
    if chosen_by.trigger:
        sql = 'SELECT coalesce(max("number"), 0) FROM runs WHERE workspace_id = $workspace'
        ((source,),) = lake.rows(sql, {"runs": TRIGGER_RUNS}, {"workspace": workspace})
    return Basis(workspace, published, snapshot_us, micros_of(now), int(source), audiences)
