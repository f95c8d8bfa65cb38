"""The broker: one KRaft node that is broker and controller, on loopback, with the topics of the contracts."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from services.embedded.layout import Layout
from services.embedded.ports import LOOPBACK
from services.setup.resolved import Resolved
from services.topics.making import make_missing
from spark_jobs.contracts.topics import TOPICS, Topic
from spark_jobs.errors import RetryableError, TerminalError

HEAP_MB = 320
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
_REQUEST_TIMEOUT_MS = 5_000
_LOG4J = """\
status = warn
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %c: %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
"""


def log_file(layout: Layout) -> Path:
    """The broker's log."""
    return layout.logs / "kafka.log"


def command(chosen: Resolved, layout: Layout, main_class: str, *arguments: str) -> list[str]:
    """The Java command line of the broker, or of one of its tools."""
    class_path = ":".join(str(path) for path in chosen.kafka_class_path)
    java = str(chosen.spark_java_home / "bin" / "java")
    log4j = f"-Dlog4j2.configurationFile={layout.kafka / 'log4j2.properties'}"
    return [java, f"-Xmx{HEAP_MB}m", *chosen.kafka_jvm_flags, log4j, "-cp", class_path, main_class, *arguments]


def prepare(chosen: Resolved, layout: Layout, *, port: int, controller_port: int) -> list[str]:
    """Write the settings, format a new log directory, return the command that starts the broker."""
    config = layout.kafka / "server.properties"
    (layout.kafka / "log4j2.properties").write_text(_LOG4J.format(log=log_file(layout)), encoding="utf-8")
    config.write_text(_as_properties(settings(layout, port, controller_port)), encoding="utf-8")
    _format_when_new(chosen, layout, config)
    return command(chosen, layout, "kafka.Kafka", str(config))


def settings(layout: Layout, port: int, controller_port: int) -> dict[str, str]:
    """Settings of a single node; topics are made from the contracts, never by a client's mistake."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(layout.kafka / "data"),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        # A broker that was killed is let in again when its old session has ended: 9 s by default.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "1000",
        # The default of 128 MB would be most of the heap.
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "4",
    }


def answers(bootstrap: str) -> bool:
    """True when the broker gives its metadata."""
    try:
        admin = _admin(bootstrap)
    except (KafkaError, OSError):
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except (KafkaError, OSError, KeyError):
        return False
    finally:
        admin.close()


def topics(bootstrap: str) -> list[str]:
    """Names of the topics that the broker has; RetryableError when it does not answer."""
    try:
        admin = _admin(bootstrap)
    except (KafkaError, OSError) as error:
        raise RetryableError(f"Kafka on {bootstrap} does not answer ({error}); is it running?") from error
    try:
        return sorted(admin.list_topics())
    finally:
        admin.close()


def ensure_topics(bootstrap: str, wanted: tuple[Topic, ...] = TOPICS) -> None:
    """Make the topics of the contracts that are missing."""
    admin = _admin(bootstrap)
    try:
        make_missing(admin, wanted)
    finally:
        admin.close()


def _admin(bootstrap: str) -> KafkaAdminClient:
    # The client reports every refused connection; while the broker starts that is no news.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    return KafkaAdminClient(
        bootstrap_servers=bootstrap, request_timeout_ms=_REQUEST_TIMEOUT_MS, bootstrap_timeout_ms=_REQUEST_TIMEOUT_MS
    )


def _format_when_new(chosen: Resolved, layout: Layout, config: Path) -> None:
    """Format only where the note and the log directory agree that the cluster is new, or its format was cut off."""
    note, data = layout.kafka / "cluster.json", layout.kafka / "data"
    known = _read_note(note)
    is_formatted = (data / "meta.properties").exists()
    if known["state"] == "formatted" and is_formatted:
        return
    if known["state"] == "formatted" or (known["state"] == "new" and data.exists()):
        raise TerminalError(
            f"Kafka's log directory {data} is {'formatted' if is_formatted else 'not formatted'} and {note} says "
            f"{known['state']!r}: one of them was lost or replaced. Restore it, or remove {layout.kafka} to begin anew "
            "(the events in it are lost)"
        )
    cluster_id = known["cluster_id"] or base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    _write_note(note, "formatting", cluster_id)
    # Cut off earlier: the directory was never used.
    shutil.rmtree(data, ignore_errors=True)
    arguments = ("format", f"--cluster-id={cluster_id}", "--config", str(config))
    finished = subprocess.run(
        command(chosen, layout, "kafka.tools.StorageTool", *arguments), capture_output=True, text=True
    )
    if finished.returncode:
        said = finished.stderr + finished.stdout
        raise TerminalError(f"Kafka's log directory {data} could not be formatted: {said.strip()[-400:]}")
    _write_note(note, "formatted", cluster_id)


def _read_note(note: Path) -> dict[str, str]:
    if not note.exists():
        return {"state": "new", "cluster_id": ""}
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        return {"state": known["state"], "cluster_id": known["cluster_id"]}
    except (OSError, ValueError, KeyError) as error:
        raise TerminalError(f"{note} cannot be read ({error}); restore it: it names the Kafka cluster") from error


def _write_note(note: Path, state: str, cluster_id: str) -> None:
    partial = note.with_suffix(".partial")
    partial.write_text(json.dumps({"format": 1, "state": state, "cluster_id": cluster_id}) + "\n", encoding="utf-8")
    partial.rename(note)


def _as_properties(values: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())
