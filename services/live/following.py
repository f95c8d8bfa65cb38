"""One generation of live tags, moved on: messages in, answers out, all of a step in one transaction of the store."""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from services.live import messages, outbox, progress, states
from services.live.answering import live_answers
from services.live.counting import PersonRows
from services.live.definitions import LiveFacts
from services.live.holders import Holders
from services.live.messages import LiveEvent
from services.live.outbox import Change
from services.live.progress import Progress
from services.live.records import EVENT_WIDTH, Rows, nothing, with_fresh
from services.live.states import Stored, Written
from services.live.topic import Message, Source
from services.profiles.database import Database
from services.profiles.overlay import Overlay
from spark_jobs.errors import TerminalError
from spark_jobs.tagging.moment import NEVER

log = logging.getLogger(__name__)

# Persons whose time is due, answered in one step; the others wait for the next.
DUE_AT_ONCE = 2000
# Without an event the answers' moment moves on so often.
IDLE_US = 1_000_000
_MOST_MASKS = 10_000

Fresh = dict[int, Rows]


@dataclass(slots=True)
class Step:
    """What one step did. outcomes: messages by what became of them; at: moments of the events that were counted."""

    outcomes: Counter[str] = field(default_factory=Counter)
    at: list[int] = field(default_factory=list)
    persons: int = 0
    changes: int = 0
    is_current: bool = True


class Follower:
    """Moves one generation on. After an error it must be made anew: what is in memory is then not what is stored."""

    def __init__(self, database: Database, of: Progress, facts: LiveFacts, source: Source) -> None:
        """Begin where the store says that the generation has come; TerminalError where the topic has lost messages."""
        self.at, self.facts = of, facts
        self._database, self._source = database, source
        self._holders = Holders(database, of)
        self._masks: dict[tuple[str | None, ...], int] = {}
        if of.offsets:
            beginnings = source.beginnings()
            if lost := _lost(of.offsets, beginnings):
                raise TerminalError(
                    f"the topic of events no longer holds messages of {lost} that live tags of {of.workspace} have "
                    "not counted; run tags and load profiles anew"
                )
            self.at = replace(of, offsets={**beginnings, **of.offsets})  # partitions may have been added
        else:
            self.at = replace(of, offsets=_first_offsets(facts, source))
        source.seek(self.at.offsets)

    def step(self, clock: Callable[[], int], *, wait_ms: int, most: int, idle_us: int = IDLE_US) -> Step:
        """Count messages and answer who is touched or due, at what the clock (microseconds) then shows, or later.

        idle_us: where nothing is to be done, the moment of the answers moves on when it is so old.
        """
        read, step = self._source.read(wait_ms=wait_ms, most=most), Step()
        # Behind the wait for messages: an event that came meanwhile counts at once, not when it is found to be due.
        base = max(clock(), self.at.reached)
        due = states.due(self._database, self.at, base, most=DUE_AT_ONCE)
        step.is_current = len(due) < DUE_AT_ONCE
        if not read and not due and base - self.at.as_of < idle_us:
            return step
        fresh = self._fresh(read, step)
        rows, changes = self._answered(fresh, due, base, step)
        to = replace(
            self.at,
            as_of=base if step.is_current else self.at.as_of,
            reached=base,
            offsets={**self.at.offsets, **{one.partition: one.offset + 1 for one in read}},
            writes=self.at.writes + 1,
        )
        with self._database.transaction():
            progress.advance(self._database, to)
            states.write(self._database, to, rows)
            outbox.add(self._database, to, changes, base=base)
        self.at = to
        step.persons, step.changes = len(rows), len(changes)
        return step

    def ends(self) -> dict[int, int]:
        """Partition to where the topic ends now."""
        return self._source.ends()

    def lag(self) -> dict[int, int]:
        """Partition to the messages that wait."""
        return {partition: max(0, end - self.at.offsets.get(partition, 0)) for partition, end in self.ends().items()}

    def close(self) -> None:
        """Let go of the topic."""
        self._source.close()

    def _fresh(self, read: Iterable[Message], step: Step) -> Fresh:
        """Rows of events that tags look at, by person; what became of every message is counted."""
        events: list[tuple[LiveEvent, int]] = []
        for one in read:
            found = messages.read(one.value, one.timestamp_ms, self.facts.workspace)
            if not isinstance(found, LiveEvent):
                step.outcomes[found] += 1
            elif found.at < self.facts.plan.late_from:
                step.outcomes["late"] += 1
            elif mask := self._mask(found):
                events.append((found, mask))
            else:
                step.outcomes["irrelevant"] += 1
        self._holders.learn(event.token for event, _ in events)
        by_person: dict[int, list[tuple[int, int, int, int]]] = {}
        for event, mask in events:
            person = self._holders.holder(event.token, event.at)
            if person is None:
                step.outcomes["unknown"] += 1
            else:
                by_person.setdefault(person, []).append((event.at, event.ident, mask, 1))
        return {person: np.array(rows, dtype=np.int64) for person, rows in by_person.items()}

    def _mask(self, event: LiveEvent) -> int:
        plan = self.facts.plan
        key = tuple(event.fields[name] for name in plan.fields)
        known = self._masks.get(key)
        if known is None:
            if len(self._masks) >= _MOST_MASKS:
                self._masks.clear()
            known = self._masks[key] = plan.mask_of(event.fields)
        return known

    def _answered(self, fresh: Fresh, due: Sequence[int], base: int, step: Step) -> tuple[list[Written], list[Change]]:
        rows: list[Written] = []
        changes: list[Change] = []
        for chunk in states.chunks(list(dict.fromkeys([*fresh, *due]))):
            living = states.read(self._database, self.at, chunk)
            known = [one for one in living if not one.is_refused]
            # Whoever is not there any more, or refuses profiling, has no live answers, and is due no more.
            gone = set(chunk) - {one.person_no for one in known}
            step.outcomes["left_out"] += sum(len(fresh.get(person, ())) for person in gone)
            rows += [Written(person, NEVER, base, {}, nothing(EVENT_WIDTH)) for person in sorted(gone)]
            joined = [_joined(one, fresh.get(one.person_no, nothing(EVENT_WIDTH)), step) for one in known]
            answers = live_answers(joined, self.facts.plan, base)
            for place, one in enumerate(known):
                values = {name: found[place] for name, found in answers.values.items()}
                overlay, changed = self._changed(
                    one, values, base, cause="events" if one.person_no in fresh else "time"
                )
                rows.append(Written(one.person_no, answers.next_at[place], base, overlay, joined[place].live))
                changes += changed
        return rows, changes

    def _changed(
        self, one: Stored, values: Mapping[str, str | None], base: int, *, cause: str
    ) -> tuple[Overlay, list[Change]]:
        """The overlay of a person, and what the topic is told: nothing of sensitive tags."""
        overlay, changes = dict(one.overlay), []
        for name, new in values.items():
            tag = self.facts.tags[name]
            old = one.visible(tag.number)
            if new == old:
                continue
            overlay[tag.number] = (new, base)
            if not tag.is_sensitive:
                person_id = str(uuid.UUID(bytes=one.person_id))
                changes.append(Change(name, tag.version, person_id, old, new, cause))
        return overlay, changes


def _joined(one: Stored, fresh: Rows, step: Step) -> PersonRows:
    rows = one.rows
    live = with_fresh(rows.base, rows.live, fresh)
    counted = live[len(rows.live) :]
    step.outcomes["counted"] += len(counted)
    step.outcomes["duplicate"] += len(fresh) - len(counted)
    step.at += counted[:, 0].tolist()
    return PersonRows(rows.base, rows.registrations, live)


def _first_offsets(facts: LiveFacts, source: Source) -> dict[int, int]:
    """Where a new generation begins to read: at the watermark, or earlier, as ids settle what was counted already."""
    beginnings, ends = source.beginnings(), source.ends()
    offsets = {}
    for partition, beginning in beginnings.items():
        start = facts.starts.get(partition, beginning)
        if start > ends[partition]:
            log.warning("partition %d ends before the watermark: it was made anew, and is read whole", partition)
            start = beginning
        offsets[partition] = start
    if lost := _lost(offsets, beginnings):
        raise TerminalError(
            f"the topic of events no longer holds messages of {lost} behind the watermark of the publication; run tags "
            "anew, and load profiles sooner after it"
        )
    return offsets


def _lost(offsets: Mapping[int, int], beginnings: Mapping[int, int]) -> str:
    """The partitions whose next message has gone, as text; '' for none. A partition that is new has lost nothing."""
    lost = [number for number, beginning in beginnings.items() if offsets.get(number, beginning) < beginning]
    return f"partitions {lost}" if lost else ""
