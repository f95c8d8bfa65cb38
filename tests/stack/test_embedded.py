"""The real Kafka and Trino: they answer, they stop, and nothing is left of them however their owner ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trino.dbapi
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from services.embedded import detached, kafka, state
from services.embedded import trino as trino_service
from services.embedded.layout import Layout
from services.embedded.stack import EmbeddedStack
from services.setup import paths
from spark_jobs.contracts.topics import TOPICS
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import load

LISTENING = "0A"
# 127.0.0.1 in the kernel's byte order, as IPv4 and as IPv6.
LOOPBACK_IN_HEX = {"0100007F", "0000000000000000FFFF00000100007F"}
OWNER = """
import sys, time
from pathlib import Path
from services.embedded.stack import EmbeddedStack
with EmbeddedStack(Path(sys.argv[1]), with_trino=sys.argv[2] == "both"):
    print("ready", flush=True)
    time.sleep(600)
"""

UP = """
import sys
from pathlib import Path
from services.embedded import detached, state
detached.up(Path(sys.argv[1]), state.Ports())
"""


@contextlib.contextmanager
def owner(data_dir: Path, services: str = "kafka") -> Iterator[subprocess.Popen[str]]:
    """A process that holds a stack, started and ready."""
    command = [sys.executable, "-c", OWNER, str(data_dir), services]
    with subprocess.Popen(command, cwd=paths.REPO, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def wait_until_gone(data_dir: Path, *, timeout_s: float = 20) -> None:
    until = time.monotonic() + timeout_s
    while state.is_locked(Layout(data_dir)):
        assert time.monotonic() < until, f"still there: {state.who_runs(Layout(data_dir))}"
        time.sleep(0.1)


def processes_that_name(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in command and int(process.name) != os.getpid():
                found.append(command)
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path_factory.mktemp("stack") / "data") as running:
        yield running


def test_the_topics_of_the_contracts_are_there_and_no_others_are_made(stack: EmbeddedStack) -> None:
    assert kafka.topics(stack.kafka_bootstrap) == sorted(topic.name for topic in TOPICS)
    consumer = KafkaConsumer(bootstrap_servers=stack.kafka_bootstrap)
    assert len(consumer.partitions_for_topic(TOPICS[0].name)) == TOPICS[0].partitions
    consumer.close()


def test_what_is_produced_is_consumed(stack: EmbeddedStack) -> None:
    topic = TOPICS[0].name
    producer = KafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")
    sent = producer.send(topic, key=b"k", value=b"v").get(timeout=10)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, sent.partition)])
    (records,) = consumer.poll(timeout_ms=10_000).values()
    assert [(record.key, record.value) for record in records] == [(b"k", b"v")]
    consumer.close()


def test_trino_knows_the_catalogs(stack: EmbeddedStack) -> None:
    port = int(stack.trino_url.rpartition(":")[2])
    connection = trino.dbapi.connect(host="127.0.0.1", port=port, user="test")  # type: ignore[no-untyped-call] # no types
    with contextlib.closing(connection):
        rows = connection.cursor().execute("SHOW CATALOGS").fetchall()
    wanted = {path.stem for path in (paths.REPO / "trino_catalog" / "catalogs").glob("*.properties")}
    assert wanted <= {name for (name,) in rows}


def listening_on(port: int) -> set[str]:
    """Local addresses, as the kernel writes them, on which somebody listens on the port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, _, in_hex = line.split()[1].partition(":")
            if line.split()[3] == LISTENING and int(in_hex, 16) == port:
                found.add(address)
    return found


def test_both_listen_on_loopback_only(stack: EmbeddedStack) -> None:
    for address in (stack.kafka_bootstrap, stack.trino_url):
        listening = listening_on(int(address.rpartition(":")[2]))
        assert listening
        assert listening <= LOOPBACK_IN_HEX


def test_the_settings_file_is_complete_and_the_key_is_private(stack: EmbeddedStack) -> None:
    settings = load(stack.settings_path)
    assert settings.kafka_bootstrap_servers == stack.kafka_bootstrap
    assert settings.trino_url == stack.trino_url
    assert settings.root_key_file.stat().st_mode & 0o777 == 0o600


def test_a_second_stack_in_the_same_place_is_told_who_runs(stack: EmbeddedStack) -> None:
    before = json.loads(stack.layout.state.read_text())
    with (
        pytest.raises(TerminalError, match=f"a stack runs already in .*: started by process {os.getpid()}"),
        EmbeddedStack(stack.layout.root),
    ):
        pass
    assert json.loads(stack.layout.state.read_text()) == before


def test_status_asks_the_services_to_work(stack: EmbeddedStack) -> None:
    described = detached.status(stack.layout.root)
    assert described.running
    assert {service.name: service.answers for service in described.services} == {"Kafka": True, "Trino": True}


def test_down_leaves_the_stack_of_a_running_process_alone(stack: EmbeddedStack) -> None:
    with pytest.raises(TerminalError, match=f"belongs to process {os.getpid()}"):
        detached.down(stack.layout.root)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("number", "services"),
    [
        pytest.param(signal.SIGINT, "kafka", id="Ctrl-C"),
        pytest.param(signal.SIGTERM, "kafka", id="kill"),
        pytest.param(signal.SIGKILL, "both", id="kill -9"),
    ],
)
def test_no_process_is_left_when_the_owner_ends(tmp_path: Path, number: signal.Signals, services: str) -> None:
    data_dir = tmp_path / "data"
    with owner(data_dir, services) as process:
        assert len(processes_that_name(data_dir)) >= (3 if services == "both" else 2)
        process.send_signal(number)
        process.wait(timeout=30)
    wait_until_gone(data_dir)
    assert processes_that_name(data_dir) == []


@pytest.mark.thorough
def test_kafka_keeps_its_events_and_its_id_over_a_kill(tmp_path: Path) -> None:
    layout, topic = Layout(tmp_path), TOPICS[0].name
    with owner(tmp_path) as process:
        cluster = (layout.kafka / "cluster.json").read_text()
        producer = KafkaProducer(bootstrap_servers=f"127.0.0.1:{state.last_ports(layout).kafka}", acks="all")
        sent = producer.send(topic, value=b"kept").get(timeout=10)
        process.kill()
        producer.close(timeout=1)
    wait_until_gone(tmp_path)
    with EmbeddedStack(tmp_path, with_trino=False) as again:
        assert (layout.kafka / "cluster.json").read_text() == cluster
        consumer = KafkaConsumer(bootstrap_servers=again.kafka_bootstrap)
        partition = TopicPartition(topic, sent.partition)
        assert consumer.end_offsets([partition])[partition] == sent.offset + 1
        consumer.close()


@pytest.mark.thorough
def test_a_lost_log_directory_is_never_formatted_again(tmp_path: Path) -> None:
    note = Layout(tmp_path).kafka / "cluster.json"
    note.parent.mkdir()
    note.write_text('{"format": 1, "state": "formatted", "cluster_id": "x"}')
    with (
        pytest.raises(TerminalError, match="one of them was lost or replaced"),
        EmbeddedStack(tmp_path, with_trino=False),
    ):
        pass
    assert not (note.parent / "data").exists()


def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TerminalError, match=f"Trino cannot listen on 127.0.0.1:{port}: the port is in use"):
            detached.up(tmp_path, state.Ports(trino=port))
    assert not state.is_locked(Layout(tmp_path))


@pytest.mark.thorough
def test_a_service_that_cannot_start_is_told_with_its_log_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trino_service, "HEAP_MB", 1)
    with (
        pytest.raises(RetryableError, match=r"(?s)Trino ended while starting.*Too small maximum heap"),
        EmbeddedStack(tmp_path, with_kafka=False),
    ):
        pass
    assert not state.is_locked(Layout(tmp_path))


def test_up_runs_on_a_second_up_describes_it_and_down_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", UP, str(tmp_path)]
    try:
        subprocess.run(command, cwd=paths.REPO, check=True)  # the command has ended, the stack has not
        first = detached.status(tmp_path)
        assert [service.answers for service in first.services] == [True, True]
        assert "started by `./databank up`" in first.owner
        assert detached.up(tmp_path, state.Ports()) == first
    finally:
        stopped = detached.down(tmp_path)
    assert stopped == ("Trino", "Kafka")
    assert processes_that_name(tmp_path) == []
    assert detached.down(tmp_path) == ()


def test_a_note_of_processes_that_ended_is_not_believed(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.run.mkdir()
    layout.lock.touch()
    mine = {"pid": os.getpid(), "started": 1, "log": "x"}  # the id is in use again, by another process
    note = {"format": 1, "owner": 1, "detached": True, "started_at": "x", "services": {"Kafka": mine}, "ports": {}}
    layout.state.write_text(json.dumps(note))
    assert not detached.status(tmp_path).running
    assert detached.down(tmp_path) == ()
