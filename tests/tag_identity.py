"""Identity of the made-up persons of `tag_tables`, as questions ask for it: registry, homes, links with evidence."""

from __future__ import annotations

from datetime import UTC, datetime

from spark_jobs.contracts.identity import IDENTIFIERS, IDENTITY_HOMES, IDENTITY_LINK_STATES, IDENTITY_LINKS, PERSONS
from spark_jobs.storage.delta import Lake
from tests.tag_tables import SNAPSHOT, Row, add, token

KNOWN_AT = datetime(2018, 1, 2, tzinfo=UTC)
SEEN_AT = datetime(2017, 3, 1, tzinfo=UTC)


def named(kind: str, person: int) -> str:
    """An identifier as the command line takes it without a key."""
    return f"{kind}@test:token:{token(kind, person).hex()}"


def write_identity(lake: Lake, persons: list[int]) -> None:
    """What identity knows of persons who hold a member number and a device; the device was another's once."""
    both = [(person, number, kind) for person in persons for number, kind in enumerate(("member_no", "device"))]
    known: Row = {"system_from": KNOWN_AT, "snapshot_id": SNAPSHOT}
    seen: Row = {"first_seen_at": SEEN_AT, "run_id": "r"}
    numbered = [(person, person * 2 + number, kind) for person, number, kind in both]
    add(
        lake,
        IDENTIFIERS,
        [
            {"identifier_no": no, "type": kind, "scope": "test", "token": token(kind, person), "kid": "k", **seen}
            for person, no, kind in numbered
        ],
    )
    add(lake, PERSONS, [_person(person) | known for person in persons])
    homes = [
        {"identifier_no": no, "person_id": f"p{p}" if kind == "member_no" else f"d{p}"} for p, no, kind in numbered
    ]
    add(lake, IDENTITY_HOMES, [home | known for home in homes])
    ends = [{"identifier_a": person * 2, "identifier_b": person * 2 + 1} for person in persons]
    add(lake, IDENTITY_LINK_STATES, [{**pair, "state": "used", "reason": "joins", **known} for pair in ends])
    add(lake, IDENTITY_LINKS, [_link(pair) for pair in ends])


def _person(person: int) -> Row:
    return {
        "person_id": f"p{person}",
        "person_no": person,
        "seed_identifier_no": person * 2,
        "generation": 1,
        "first_seen_at": SEEN_AT,
        "survivor_id": f"p{person}",
    }


def _link(ends: Row) -> Row:
    return {
        **ends,
        "link_id": f"l{ends['identifier_a']}",
        "kind": "co_occurrence",
        "authenticated": True,
        "source": "web",
        "event_id": f"login-{ends['identifier_a']}",
        "observations": 1,
        "first_seen_at": SEEN_AT,
        "last_seen_at": SEEN_AT,
        "rule_version": "r",
        "run_id": "r",
    }
