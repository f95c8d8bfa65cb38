"""Messages of the outbox go into the topic of live tags, each exactly once, whatever dies on the way.

How far they are sent is an offset of a consumer group that is committed in the same transaction as the messages. Who
begins fences every sender before it, and forgets what that one sent and could not forget any more.
"""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from services.live import outbox
from services.live.outbox import Waiting
from services.profiles.database import Database
from spark_jobs.brokers import client_options
from spark_jobs.contracts.topics import LIVE_TAGS_TOPIC
from spark_jobs.settings import Settings

_TOPIC = LIVE_TAGS_TOPIC.name
# Its offset stands for all partitions: the numbers of messages are of the outbox.
_PLACE = TopicPartition(_TOPIC, 0)
_TIMEOUT_MS = 60_000
MESSAGES_AT_ONCE = 5000


class Sender:
    """Sends what the outbox of a workspace holds."""

    def __init__(self, database: Database, settings: Settings, workspace: str) -> None:
        """Fence the senders before this one, and forget what they sent."""
        self._database, self._workspace = database, workspace
        # Numbers of messages are a store's own: a store that is made anew begins again.
        ((store,),) = database.rows("SELECT store_id FROM live_store")
        self._group = f"databank-live-{workspace}-{store}"
        servers, account = settings.kafka_bootstrap_servers.split(","), client_options(settings.kafka_account)
        self._producer = KafkaProducer(
            bootstrap_servers=servers,
            transactional_id=self._group,
            transaction_timeout_ms=_TIMEOUT_MS,
            acks="all",
            linger_ms=5,
            **account,
        )
        try:
            self._producer.init_transactions()
            outbox.sent(database, workspace, self._done(servers, account))
        except BaseException:
            self._producer.close()  # or every trial would leave a thread behind
            raise

    def send(self) -> int:
        """Send what waits, MESSAGES_AT_ONCE at most; how many messages."""
        waiting = outbox.next_messages(self._database, self._workspace, most=MESSAGES_AT_ONCE)
        if waiting:
            self._commit(waiting)
            outbox.sent(self._database, self._workspace, waiting[-1].seq)
        return len(waiting)

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close()

    def _done(self, servers: list[str], account: dict[str, Any]) -> int:
        consumer = KafkaConsumer(bootstrap_servers=servers, group_id=self._group, enable_auto_commit=False, **account)
        try:
            return int(consumer.committed(_PLACE) or 0)
        finally:
            consumer.close()

    def _commit(self, waiting: list[Waiting]) -> None:
        self._producer.begin_transaction()
        for one in waiting:
            self._producer.send(_TOPIC, key=one.key.encode(), value=one.message.encode(), partition=one.place)
        reached = {_PLACE: OffsetAndMetadata(waiting[-1].seq, "", -1)}
        self._producer.send_offsets_to_transaction(reached, self._group)
        self._producer.commit_transaction()
