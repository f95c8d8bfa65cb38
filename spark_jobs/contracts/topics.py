"""Kafka topics, described once; the broker's set-up, the producers and the stream derive from here."""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic; replication is the installation's choice, partitions are part of the contract."""

    name: str
    grain: str
    key: str
    partitions: int
    retention_ms: int
    max_message_bytes: int = 1_048_576
    is_compacted: bool = False  # the newest message of a key stays for ever; retention is then for what was deleted


EVENTS_TOPIC = Topic(
    name="databank.events",
    grain="one event as JSON, identifiers tokenised before they are sent",
    key="workspace and token of the strongest identifier, so that one person's events stay in order",
    partitions=4,
    retention_ms=7 * DAY_MS,
)

TAG_STATE_TOPIC = Topic(
    name="databank.tags.state",
    grain="the value of one tag of one person; without a value the person has the tag's `otherwise` value",
    key="workspace/tag/person; of the note that ends a publication in its partition, the workspace",
    partitions=16,
    retention_ms=7 * DAY_MS,
    is_compacted=True,
)

TAG_CHANGES_TOPIC = Topic(
    name="databank.tags.changes",
    grain="one change of one tag of one person; in order they give the state",
    key="as in databank.tags.state, and in the same partition",
    partitions=16,
    retention_ms=30 * DAY_MS,
)

AUDIENCE_STATE_TOPIC = Topic(
    name="databank.audiences.state",
    grain="one member of one audience; without a value the person is none",
    key="workspace/audience/person; of the note that ends a publication in its partition, the workspace",
    partitions=16,
    retention_ms=7 * DAY_MS,
    is_compacted=True,
)

AUDIENCE_CHANGES_TOPIC = Topic(
    name="databank.audiences.changes",
    grain="one person who entered or left one audience, with the cause; in order they give the members",
    key="as in databank.audiences.state, and in the same partition",
    partitions=16,
    retention_ms=30 * DAY_MS,
)

LIVE_TAGS_TOPIC = Topic(
    name="databank.tags.live",
    grain="one change of one live tag of one person, on top of the state of the publication that it names",
    key="workspace/tag/person; of the note that a publication begins, the workspace",
    partitions=16,
    retention_ms=7 * DAY_MS,
)

TRIGGERS_TOPIC = Topic(
    name="databank.triggers",
    grain="one cart or order that waits, told once",
    key="workspace/trigger/wait/object; all of a person's are in one partition",
    partitions=4,
    retention_ms=7 * DAY_MS,
)

TOPICS: tuple[Topic, ...] = (
    EVENTS_TOPIC,
    TAG_STATE_TOPIC,
    TAG_CHANGES_TOPIC,
    AUDIENCE_STATE_TOPIC,
    AUDIENCE_CHANGES_TOPIC,
    LIVE_TAGS_TOPIC,
    TRIGGERS_TOPIC,
)
