"""The registry of personal data: of each table that holds any, how the rows of one person are found.

A table with a column of personal data that has no rule here fails the gate (`tests/unit/test_erasure_rules.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spark_jobs.contracts import audiences, core, derived, erasure, identity, journeys, operations, triggers
from spark_jobs.contracts.schema import Table

By = Literal["subject", "message", "sealed", "ids", "history", "bitmap", "kept"]


@dataclass(frozen=True, slots=True)
class Rule:
    """How rows of a person are found, and what becomes of rows that are only partly the person's.

    by: `subject`: the row's subject is an identifier of the person; `message`: the same, inside the JSON of a message;
        `sealed`: its opened bytes name one; `ids`: a column holds one of the person's master ids or identifier numbers;
        `history`: the same, and the way of others that led by the person is told without; `bitmap`: person numbers in
        a bitmap; `kept`: nothing goes, `why` says for what reason.
    listed: the array of identifiers from which those of the person go where the row is another's.
    moment: when what the row tells of happened; '' where the row has no time of its own.
    persons, numbers, tokens: columns of master ids, of identifier numbers, and of identifiers themselves.
    emptied: a column of another master id, which is emptied where the row is not the person's.
    """

    by: By
    listed: str = ""
    moment: str = ""
    persons: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    emptied: str = ""
    why: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the rule names."""
        every = (self.listed, self.moment, self.emptied, *self.persons, *self.numbers, *self.tokens)
        return tuple(name for name in every if name)


_ENDS = ("identifier_a", "identifier_b")
_PERSON = Rule("ids", persons=("person_id",))

# In the order in which they are cleared: facts first, so that nothing is computed of them anew, identity last.
RULES: Mapping[Table, Rule] = {
    operations.RAW_EVENTS: Rule("message"),
    core.EVENTS: Rule("subject", listed="identifiers", moment="occurred_at"),
    core.ORDER_LINES: Rule("subject", moment="ordered_at"),
    core.ORDERS: Rule("subject", moment="ordered_at"),
    # A record that a source sends again with a later span is still of the person who had registered before.
    core.MEMBERS: Rule("subject", listed="identifiers", moment="registered_at"),
    core.CAMPAIGN_TARGETS: Rule("subject"),
    core.COUPON_REDEMPTIONS: Rule("subject", moment="redeemed_date"),
    journeys.ORDER_CHANGES: Rule("subject", moment="changed_at"),
    journeys.SHARES: Rule("subject", moment="shared_at"),
    journeys.SHARE_ORDERS: Rule("subject", moment="ordered_at"),
    journeys.GIVEN_VALUES: Rule("subject", moment="valid_from"),
    operations.QUARANTINE_ROWS: Rule("sealed"),
    derived.SESSIONS: _PERSON,
    # Before the tags' rows: behind those stands the publication, which counts both.
    derived.TAG_REFUSED: _PERSON,
    derived.PERSON_TAGS: _PERSON,
    derived.TAG_CHANGES: _PERSON,
    derived.TAG_TIMERS: _PERSON,
    audiences.AUDIENCES: Rule("bitmap"),
    audiences.AUDIENCE_CHANGES: Rule("ids", persons=("person_id",), emptied="survivor_id"),
    # Whose it was then may be another than who holds the identifier now.
    triggers.TRIGGERS: Rule("ids", persons=("person_id",), tokens=("subject_token",)),
    identity.IDENTITY_DECISIONS: Rule("ids", numbers=_ENDS),
    # Before the links: a run that is under way finds no number for them any more.
    identity.IDENTIFIERS: Rule("ids", numbers=("identifier_no",)),
    identity.IDENTITY_LINKS: Rule("ids", numbers=_ENDS),
    identity.PERSONS: Rule("ids", persons=("person_id", "survivor_id")),
    identity.IDENTITY_HOMES: Rule("ids", persons=("person_id",), numbers=("identifier_no",)),
    identity.IDENTITY_LINK_STATES: Rule("ids", numbers=_ENDS),
    identity.IDENTITY_MAP: Rule("ids", persons=("person_id",), numbers=("identifier_no",)),
    identity.PERSON_EVENTS: Rule("history", persons=("person_id", "from_person_id", "to_person_id"), numbers=_ENDS),
    erasure.TOMBSTONES: Rule("kept", why="what keeps an erased person from coming back"),
}

# These are cleared under identity's fence, all or none, with a pointer to what is left.
OF_IDENTITY: tuple[Table, ...] = tuple(
    table
    for table in RULES
    if table
    in {
        identity.IDENTITY_DECISIONS,
        identity.IDENTITY_LINKS,
        identity.IDENTIFIERS,
        identity.PERSONS,
        identity.IDENTITY_HOMES,
        identity.IDENTITY_LINK_STATES,
        identity.IDENTITY_MAP,
        identity.PERSON_EVENTS,
    }
)


def has_personal_data(table: Table) -> bool:
    """True where a column says so."""
    return any(column.personal != "none" for column in table.columns)


def unruled(tables: tuple[Table, ...]) -> list[str]:
    """Names of the tables that hold personal data and have no rule."""
    return [table.name for table in tables if has_personal_data(table) and table not in RULES]


def moment_of(table: Table) -> str | None:
    """The column that says when what a row tells of happened; None where there is none."""
    rule = RULES.get(table)
    return (rule.moment or None) if rule else None
