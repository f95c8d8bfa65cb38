"""What a decision would mean: the pairs of identifiers that it speaks of, and why it may be refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.errors import TerminalError
from spark_jobs.identity import asking, decisions, looking, recording
from spark_jobs.identity.asking import Asked, End
from spark_jobs.identity.declared import Rules
from spark_jobs.identity.ledger import VALUE
from spark_jobs.identity.rules import is_sliced, unique_key

Pair = tuple[int, int]
# Rows of one decision; who has more identifiers than this is a fault of the rules, not a case for a decision.
MOST_PAIRS = 10_000


def at_home(asked: Asked, end: End) -> End:
    """The end with the person that it belongs to when every merge is undone."""
    if end.home is not None:
        return end
    found = asked.homes().where(F.col("identifier_no") == F.lit(end.number)).select("home").collect()
    if not found:
        raise TerminalError(f"{end.name} is at home with nobody: it never belonged to one person for good")
    return replace(end, home=str(found[0]["home"]))


def apart(asked: Asked, a: End, b: End, scope: str) -> list[Pair]:
    """The pairs that an unmerge keeps apart; TerminalError where it cannot."""
    if scope == decisions.OF_IDENTIFIERS:
        if a.number is None or b.number is None or a.number == b.number:
            raise TerminalError(
                "--scope identifiers wants two identifiers (TYPE:VALUE), found a master id, or one twice"
            )
        pairs = [(a.number, b.number)]
    else:
        a, b = at_home(asked, a), at_home(asked, b)
        if a.home == b.home:
            raise TerminalError(
                f"both belong to {a.home} when every merge is undone, so there are no two to go back to; name the two "
                "identifiers that are not one person, with --scope identifiers"
            )
        mine, others = (_numbers_at(asked, str(end.home)) for end in (a, b))
        if len(mine) * len(others) > MOST_PAIRS:
            raise TerminalError(
                f"the two hold {len(mine)} and {len(others)} identifiers, which is more than {MOST_PAIRS} pairs; name "
                "the two identifiers that are not one person, with --scope identifiers"
            )
        pairs = [(x, y) for x in mine for y in others]
    _refuse_locked(asked, {number for pair in pairs for number in pair})
    return pairs


def together(asked: Asked, a: End, b: End, rules: Rules) -> list[Pair]:
    """The pair that a join links; TerminalError, with the reason, where the two cannot be one person."""
    if a.person_id is None or b.person_id is None:
        raise TerminalError("nobody holds one of the two for good; a join is of two that belong to one person for ever")
    if a.person_id == b.person_id:
        raise TerminalError(f"both belong to {a.person_id} already; nothing was recorded")
    both = [asking.members(asked, end) for end in (a, b)]
    values = asked.map().where(F.col("person_id").isin(a.person_id, b.person_id))
    if clashes := _clashes(looking.held_values(values), rules):
        raise TerminalError(
            f"a join would break a rule: both hold a value of {clashes}, and nobody may hold two; nothing was recorded"
        )
    kept = looking.separations_between(asked.ledger(), looking.sided(both[0], both[1])).limit(1).collect()
    if kept:
        raise TerminalError("a decision keeps the two apart; see `identity why-not` for its id, and withdraw it first")
    pair = (_representative(asked, a, rules), _representative(asked, b, rules))
    _refuse_locked_of(asked, both)
    return [pair]


def frozen(asked: Asked, end: End, rules: Rules) -> list[Pair]:
    """The pairs that a lock holds together: each identifier of the person with the first that is no device."""
    if end.person_id is None:
        raise TerminalError(f"nobody holds {end.name} for good, so there is no person to lock")
    rows = asking.members(asked, end).orderBy("identifier_no").limit(MOST_PAIRS + 1).collect()
    numbers = [int(row["identifier_no"]) for row in rows]
    if len(numbers) > MOST_PAIRS:
        raise TerminalError(
            f"{end.person_id} holds more than {MOST_PAIRS} identifiers; a person of that size is a fault"
        )
    if not numbers:
        raise TerminalError(f"{end.person_id} holds nothing for good, so there is nothing to lock")
    _refuse_locked(asked, set(numbers))
    seed = _seed(asked, numbers, rules)
    return [(seed, number) for number in numbers]


def _seed(asked: Asked, numbers: Sequence[int], rules: Rules) -> int:
    mine = asked.identifiers().where(F.col("identifier_no").isin(*numbers) & ~is_sliced(F.col("type"), rules))
    found = mine.agg(F.min("identifier_no").alias("first")).collect()[0]["first"]
    # A person of devices alone has one of them: devices never join each other.
    return numbers[0] if found is None else int(found)


def _numbers_at(asked: Asked, home: str) -> list[int]:
    rows = asked.homes().where(F.col("home") == home).orderBy("identifier_no").limit(MOST_PAIRS + 1)
    return [int(row["identifier_no"]) for row in rows.collect()]


def _clashes(values: DataFrame, rules: Rules) -> str:
    keyed = values.where(unique_key(F.col("type"), F.col("scope"), rules) != 0)
    twice = keyed.groupBy("type", "scope").agg(F.count_distinct("identifier_no").alias("values")).where("values > 1")
    rows = twice.orderBy("type", "scope").collect()
    return ", ".join(f"{row['type']}@{row['scope']}" if row["scope"] else str(row["type"]) for row in rows)


def _representative(asked: Asked, end: End, rules: Rules) -> int:
    """The identifier that a join links: the one that was named, else the person's first that is no device."""
    mine = asked.identifiers().where(~is_sliced(F.col("type"), rules)).select("identifier_no", *VALUE)
    if end.number is not None:
        found = mine.where(F.col("identifier_no") == F.lit(end.number)).collect()
    else:
        # members has each identifier once, so this join cannot add rows.
        held = mine.join(asking.members(asked, end), on="identifier_no", how="inner")
        found = held.orderBy("identifier_no").limit(1).collect()
    if not found:
        raise TerminalError(
            f"{end.name} is a device, which belongs to persons for spans of time; join what belongs to one for ever"
        )
    return int(found[0]["identifier_no"])


def _refuse_locked(asked: Asked, numbers: set[int]) -> None:
    locked = decisions.locks(recording.standing(asked)).where(F.col("identifier_no").isin(*sorted(numbers)))
    _refuse(locked)


def _refuse_locked_of(asked: Asked, members: Sequence[DataFrame]) -> None:
    for one in members:
        # members has each identifier once, so this join cannot add rows.
        _refuse(decisions.locks(recording.standing(asked)).join(one, on="identifier_no", how="inner"))


def _refuse(locked: DataFrame) -> None:
    found = locked.select("lock").orderBy("lock").limit(1).collect()
    if found:
        raise TerminalError(f"a person is locked by decision {found[0]['lock']}; withdraw it first")
