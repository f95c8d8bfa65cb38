"""A Kafka producer that counts what the broker acknowledged and never forgets a failure."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from kafka.codec import has_lz4
from kafka.errors import KafkaError, MessageSizeTooLargeError

from spark_jobs import brokers
from spark_jobs.contracts.topics import Topic
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import Account

# The client holds unsent messages without a limit of its own.
MOST_IN_FLIGHT = 20_000
_TIMEOUT_S = 60.0


class Sender:
    """Sends to one topic in order, `acks=all`, idempotent; a context manager that always closes."""

    def __init__(self, bootstrap_servers: str, topic: Topic, account: Account | None = None) -> None:
        """Connect, as the account where there is one; RetryableError where no broker answers."""
        self._servers = bootstrap_servers
        self._topic = topic
        self._done = threading.Condition()
        self._sent = 0
        self._acknowledged = 0
        self._failure: Exception | None = None
        try:
            self._producer: Any = KafkaProducer(
                bootstrap_servers=bootstrap_servers.split(","),
                acks="all",
                enable_idempotence=True,  # a retry neither doubles nor reorders
                compression_type="lz4" if has_lz4() else "gzip",
                linger_ms=20,
                batch_size=128 * 1024,
                max_request_size=topic.max_message_bytes,
                allow_auto_create_topics=False,
                **brokers.client_options(account),
            )
        except KafkaError as error:
            raise self._unanswered(error) from error

    @property
    def acknowledged(self) -> int:
        """Messages that all in-sync replicas hold."""
        return self._acknowledged

    def send(self, value: bytes, key: bytes | None) -> None:
        """Queue one message; waits while too many are under way, raises what has failed before."""
        if self._sent - self._acknowledged >= MOST_IN_FLIGHT:
            self._wait(MOST_IN_FLIGHT // 2)
        if self._failure is not None:
            raise self._unanswered(self._failure) from self._failure
        try:
            future = self._producer.send(self._topic.name, value=value, key=key)
        except MessageSizeTooLargeError as error:
            raise TerminalError(
                f"message {self._sent + 1} has {len(value)} bytes, topic {self._topic.name} takes at most "
                f"{self._topic.max_message_bytes}; send it in parts"
            ) from error
        except KafkaError as error:
            raise self._unanswered(error) from error
        self._sent += 1
        future.add_callback(self._succeeded)
        future.add_errback(self._failed)

    def finish(self) -> None:
        """Return when every message is acknowledged; RetryableError when one was not."""
        try:
            self._producer.flush(timeout=_TIMEOUT_S)
        except KafkaError as error:
            raise self._unanswered(error) from error
        self._wait(0)
        if self._failure is not None:
            raise self._unanswered(self._failure) from self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After a failure nothing that is still queued can be waited for.
        self._producer.close(timeout=_TIMEOUT_S if error is None else 0)

    def _wait(self, most: int) -> None:
        """Until at most `most` messages are under way."""
        with self._done:
            is_done = self._done.wait_for(
                lambda: self._failure is not None or self._sent - self._acknowledged <= most, timeout=_TIMEOUT_S
            )
        if not is_done:
            raise self._unanswered(TimeoutError(f"no acknowledgement for {_TIMEOUT_S:.0f} s"))

    def _succeeded(self, _metadata: object) -> None:
        with self._done:
            self._acknowledged += 1
            self._done.notify_all()

    def _failed(self, error: Exception) -> None:
        with self._done:
            self._failure = self._failure or error
            self._done.notify_all()

    def _unanswered(self, error: Exception) -> RetryableError:
        return RetryableError(
            f"Kafka on {self._servers}, topic {self._topic.name}: {error}; "
            f"{self._acknowledged} of {self._sent} messages are acknowledged. "
            "Is the broker up and the topic there? Then send again: events that came twice are taken in once"
        )
