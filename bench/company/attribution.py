"""Which person an event was given to, against who really did it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Homes:
    """Where each true person lives in the map, and whose home a predicted person is; both are one to one."""

    home: dict[str, str]
    resident: dict[str, str]

    @classmethod
    def of(cls, items: Iterable[tuple[tuple[str, str, bytes], str, str | None]]) -> Homes:
        """Match true and predicted persons. In: each exclusive identifier's key, true person, predicted person.

        A person's home is where the member number is, else where most of the person's identifiers are. Of several
        that share a home the one with most identifiers there is its resident: wrongly merged persons cannot both
        be right.
        """
        weights: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for (kind, _, _), person, predicted in items:
            if predicted is not None:
                # No person has so many identifiers that they outweigh the member number.
                weights[person][predicted] += 1_000_000 if kind == "member_no" else 1
        home = {person: max(sorted(found), key=found.__getitem__) for person, found in weights.items()}
        resident: dict[str, str] = {}
        for person in sorted(home, key=lambda name: (weights[name][home[name]], name)):
            resident[home[person]] = person
        return cls(home, resident)


def attribution(
    events: Sequence[Mapping[str, object]], given: Mapping[str, object], homes: Homes
) -> dict[str, dict[str, float | int]]:
    """Events by stage: how many went to the right person, to a wrong one, or stayed anonymous; shares too.

    In:  the truth's events (event_id, person, stage) and the platform's person by event id.
    An event of an unmapped person, or of one who is nobody's home (a device alone), is anonymous.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        predicted = given.get(str(event["event_id"]))
        counts[str(event["stage"])][_verdict(str(event["person"]), predicted, homes)] += 1
    return {stage: _with_shares(found) for stage, found in sorted(counts.items())}


def _verdict(person: str, predicted: object, homes: Homes) -> str:
    resident = homes.resident.get(str(predicted)) if predicted is not None else None
    if resident is None:
        return "anonymous"
    return "right" if resident == person else "wrong"


def _with_shares(found: Counter[str]) -> dict[str, float | int]:
    total = found.total()
    verdicts = ("right", "wrong", "anonymous")
    counts: dict[str, float | int] = {"events": total, **{name: found[name] for name in verdicts}}
    return {**counts, **{f"share_{name}": round(found[name] / total, 6) for name in verdicts}}
