"""Topics that are missing are made; what is there stays as it is."""

from __future__ import annotations

from kafka.admin import KafkaAdminClient, NewTopic

from spark_jobs.contracts.topics import TOPICS, Topic

_MOST_REPLICAS = 3


def make_missing(admin: KafkaAdminClient, wanted: tuple[Topic, ...] = TOPICS) -> list[str]:
    """Make the topics that the brokers do not have; their names. Each lies on three brokers, or on all if fewer."""
    present = set(admin.list_topics())
    missing = [topic for topic in wanted if topic.name not in present]
    if missing:
        replicas = min(_MOST_REPLICAS, len(admin.describe_cluster()["brokers"]))
        admin.create_topics([_new(topic, replicas) for topic in missing], wait_for_metadata=True)
    return [topic.name for topic in missing]


def _new(topic: Topic, replicas: int) -> NewTopic:
    kept = "delete.retention.ms" if topic.is_compacted else "retention.ms"
    configs = {kept: str(topic.retention_ms), "max.message.bytes": str(topic.max_message_bytes)}
    configs["cleanup.policy"] = "compact" if topic.is_compacted else "delete"
    return NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=replicas, topic_configs=configs)
