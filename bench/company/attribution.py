"""Which person an event was given to, against who really did it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence


def residents(items: Iterable[tuple[tuple[str, str, bytes], str, str | None]]) -> dict[str, str]:
    """The true person of each predicted person that is somebody's home.

    In:  each exclusive identifier's key, its true person, its predicted person.
    A person's home is where the member number is, else where most of the person's identifiers are. Of several who
    share a home the one with most identifiers there is its resident: wrongly merged persons cannot both be right.
    """
    weights: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (kind, _, _), person, predicted in items:
        if predicted is not None:
            # No person has so many identifiers that they outweigh the member number.
            weights[person][predicted] += 1_000_000 if kind == "member_no" else 1
    home = {person: max(sorted(found), key=found.__getitem__) for person, found in weights.items()}
    by_weight = sorted(home, key=lambda name: (weights[name][home[name]], name))
    return {home[person]: person for person in by_weight}  # the heaviest comes last and stays


def attribution(
    events: Sequence[Mapping[str, object]], given: Mapping[str, object], resident_of: Mapping[str, str]
) -> dict[str, dict[str, float | int]]:
    """Events by stage: how many went to the right person, to a wrong one, or stayed anonymous; shares too.

    In:  the truth's events (event_id, person, stage) and the platform's person by event id.
    An event of an unmapped person, or of one who is nobody's home (a device alone), is anonymous.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        predicted = given.get(str(event["event_id"]))
        counts[str(event["stage"])][_verdict(str(event["person"]), predicted, resident_of)] += 1
    return {stage: _with_shares(found) for stage, found in sorted(counts.items())}


def _verdict(person: str, predicted: object, resident_of: Mapping[str, str]) -> str:
    resident = resident_of.get(str(predicted)) if predicted is not None else None
    if resident is None:
        return "anonymous"
    return "right" if resident == person else "wrong"


def _with_shares(found: Counter[str]) -> dict[str, float | int]:
    total = found.total()
    verdicts = ("right", "wrong", "anonymous")
    counts: dict[str, float | int] = {"events": total, **{name: found[name] for name in verdicts}}
    return {**counts, **{f"share_{name}": round(found[name] / total, 6) for name in verdicts}}
