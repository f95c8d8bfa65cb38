"""Made-up persons with tags, and the slow, obvious answer to expressions over them; None is unknown."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping

import pyarrow as pa

from spark_jobs.audiences.definitions import (
    UNKNOWN,
    AllOf,
    AnyOf,
    Audience,
    Expression,
    IsKnown,
    IsOneOf,
    IsWithin,
    KnownTag,
    LeastOf,
    Member,
    NotOf,
    Settled,
)
from spark_jobs.audiences.dependencies import put_together
from spark_jobs.audiences.evaluating import Build, evaluating
from spark_jobs.audiences.pieces import PERSONS_PART, answering, gathering
from spark_jobs.audiences.questions import questions_of
from spark_jobs.people.bitmaps import persons_of, unpacked

TAGS = {
    "stage": KnownTag("stage", "none", ("new", "old", "none")),
    "orders": KnownTag("orders", "none", None),
    "open": KnownTag("open", UNKNOWN, ("true", "false", UNKNOWN)),  # who has no row is unknown
    "refuses": KnownTag("refuses", "false", ("true", "false")),
}
# Person to tag to the value of the row; a tag that is not there has no row.
Values = Mapping[int, Mapping[str, str]]


def audience(name: str, members: Expression) -> Audience:
    return Audience(name, name, name, "tests", (), members)


def whole(*audiences: Audience) -> tuple[Audience, ...]:
    """With what follows from their expressions."""
    problems: list[str] = []
    made = put_together(list(audiences), TAGS, problems)
    assert problems == []
    return made


def answer(expression: Expression, values: Mapping[str, str], known: Mapping[str, bool | None]) -> bool | None:
    """Of one person; `known`: the answers of audiences."""
    match expression:
        case IsOneOf() | IsWithin() | IsKnown():
            return _of_tag(expression, values.get(expression.tag, TAGS[expression.tag].otherwise))
        case Member(name):
            return known[name]
        case AllOf(parts) | AnyOf(parts) | LeastOf(_, parts):
            least = expression.least if isinstance(expression, LeastOf) else 1
            return _least(len(parts) if isinstance(expression, AllOf) else least, parts, values, known)
        case NotOf(part) | Settled(part, _):
            found = answer(part, values, known)
            if isinstance(expression, Settled):
                return expression.unknown_is if found is None else found
            return None if found is None else not found


def _of_tag(asked: IsOneOf | IsWithin | IsKnown, value: str) -> bool | None:
    if isinstance(asked, IsKnown):
        return (value != UNKNOWN) is asked.wanted
    if value == UNKNOWN:
        return None
    if isinstance(asked, IsOneOf):
        return value in asked.values
    return value.isdecimal() and all(_meets(int(value), kind, int(limit)) for kind, limit in asked.bounds)


def _least(
    least: int, parts: Iterable[Expression], values: Mapping[str, str], known: Mapping[str, bool | None]
) -> bool | None:
    """Every way in which the unknown ones may turn out must agree."""
    found = [answer(part, values, known) for part in parts]
    if found.count(True) >= least:
        return True
    return None if found.count(True) + found.count(None) >= least else False


def _meets(number: int, kind: str, limit: int) -> bool:
    signs = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt}
    return bool(signs[kind](number, limit))


def answers(audiences: Iterable[Audience], values: Values) -> dict[str, dict[int, bool | None]]:
    """Of all persons who do not refuse: audience to person to answer."""
    found: dict[str, dict[int, bool | None]] = {}
    persons = [person for person, held in values.items() if held.get("refuses") != "true"]
    for one in audiences:
        found[one.name] = {
            person: answer(one.members, values[person], {name: found[name][person] for name in found})
            for person in persons
        }
    return found


def build_of(
    audiences: tuple[Audience, ...],
    before: Iterable[str] = (),
    redefined: Iterable[str] = (),
    *,
    refusal: str = "refuses",
) -> Build:
    questions = questions_of(audiences, TAGS, refusal_tag=refusal)
    return Build(audiences, questions, refusal, frozenset(before), frozenset(redefined))


def evaluated(build: Build, values: Values, *before: pa.Table) -> list[dict[str, object]]:
    """Rows of RESULT_DDL of one chunk, with `members` as a set of persons, as the kernels give them."""
    rows = [(tag, value, person) for person, held in values.items() for tag, value in held.items()]
    schema = pa.schema([("tag", pa.string()), ("value", pa.string()), ("person_no", pa.int64())])
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    of_tags = pa.RecordBatch.from_arrays(
        [pa.array(list(column), kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema
    )
    everybody = pa.RecordBatch.from_pydict({"person_no": pa.array(list(values), pa.int64())})
    pieces = [*answering(build.questions)([of_tags]), *gathering(PERSONS_PART)([everybody])]
    table = pa.concat_tables([pa.Table.from_batches(pieces), *before])
    found = evaluating(build)(table).to_pylist()
    return [{**row, "members": frozenset(persons_of(row["chunk"], unpacked(row["members"])).tolist())} for row in found]
