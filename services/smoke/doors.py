"""What the smoke does at each door of the cluster; everything that it makes carries its mark and is removed again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import hdfs
import requests
import trino.auth
import trino.dbapi
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from spark_jobs.errors import TerminalError

_MESSAGES = 100
_FILE_BYTES = 3_000_000
_WAIT_S = 90.0
_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the doors are and who knocks: from the playbook, passwords included, never from arguments."""

    ca_file: str
    kafka: Mapping[str, str]
    hdfs_url: str
    trino: Mapping[str, str]
    airflow: Mapping[str, str]
    mark: str
    profiles: Mapping[str, str] = field(default_factory=dict)  # empty where no host serves them


def kafka_keeps_what_it_acknowledges(cluster: Cluster) -> str:
    """As a SCRAM user: make a topic, produce with acks=all, consume all of it, remove the topic."""
    topic = f"databank-smoke-{cluster.mark}"
    door = {
        "bootstrap_servers": cluster.kafka["servers"].split(","),
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": cluster.kafka["user"],
        "sasl_plain_password": cluster.kafka["password"],
        "ssl_context": ssl.create_default_context(cafile=cluster.ca_file),
    }
    sent = {f"{cluster.mark}-{number}".encode() for number in range(_MESSAGES)}
    with contextlib.closing(KafkaAdminClient(**door)) as admin:
        replicas = min(3, len(cluster.kafka["servers"].split(",")))
        admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=replicas)])
        try:
            _produce(door, topic, sent)
            found = _consume(door, topic)
        finally:
            admin.delete_topics([topic])
    if found != sorted(sent):
        raise TerminalError(f"Kafka gave back {len(found)} messages of {_MESSAGES}, or others; look at the brokers")
    return f"{_MESSAGES} messages acknowledged by all in-sync replicas, {len(found)} read, on {replicas} replicas"


def _produce(door: Mapping[str, Any], topic: str, sent: set[bytes]) -> None:
    with contextlib.closing(KafkaProducer(acks="all", **door)) as producer:
        futures = [producer.send(topic, value) for value in sent]
        for future in futures:
            future.get(timeout=_WAIT_S)


def _consume(door: Mapping[str, Any], topic: str) -> list[bytes]:
    options = {"auto_offset_reset": "earliest", "group_id": topic, "consumer_timeout_ms": 20_000}
    found: list[bytes] = []
    with contextlib.closing(KafkaConsumer(topic, **options, **door)) as consumer:
        for message in consumer:
            found.append(message.value)
            if len(found) >= _MESSAGES:
                break
    return sorted(found)


def hdfs_gives_back_what_it_got(cluster: Cluster) -> str:
    """Put a file, compare its bytes and HDFS's own checksum of two copies, remove them."""
    client = hdfs.InsecureClient(cluster.hdfs_url, user="databank")
    folder, content = f"/databank/lake/smoke/{cluster.mark}", os.urandom(_FILE_BYTES)
    try:
        for name in ("one", "two"):
            client.write(f"{folder}/{name}", data=content)
        with client.read(f"{folder}/one") as reader:
            found = reader.read()
        sums = {client.checksum(f"{folder}/{name}")["bytes"] for name in ("one", "two")}
    finally:
        client.delete(folder, recursive=True)
    if hashlib.sha256(found).digest() != hashlib.sha256(content).digest() or len(sums) != 1:
        raise TerminalError("HDFS gave back other bytes than it got; run `hdfs fsck` and look at the DataNodes' disks")
    return f"{_FILE_BYTES:,} bytes came back, checksums of two copies are one"


def spark_writes_what_trino_reads(cluster: Cluster, lake_root: str, write: Any) -> str:  # noqa: ANN401 - a callable
    """A Delta table written by Spark on the cluster, read through Trino over HTTPS as a BI user."""
    name, where = f"smoke_{cluster.mark}", f"{lake_root}/smoke/{cluster.mark}-table"
    try:
        total = write(where, _ROWS)
        with _asking(cluster, "platform") as platform:
            # Its folder is there by now: the metastore may not write into the lake, so it must not have to make one.
            place = f"WITH (location = '{lake_root}/smoke')"
            platform.execute(f"CREATE SCHEMA IF NOT EXISTS lake_admin.smoke {place}").fetchall()
            told = f"'smoke', '{name}', '{where}'"
            platform.execute(f"CALL lake_admin.system.register_table({told})").fetchall()
            try:
                with _asking(cluster, "bi") as people:
                    asked = people.execute(f"SELECT count(*), sum(n) FROM lake.smoke.{name}").fetchall()
            finally:
                platform.execute(f"CALL lake_admin.system.unregister_table('smoke', '{name}')").fetchall()
    finally:
        hdfs.InsecureClient(cluster.hdfs_url, user="databank").delete(where.split(":8020", 1)[-1], recursive=True)
    if [tuple(row) for row in asked] != [(_ROWS, total)]:
        raise TerminalError(f"Trino read {asked}, Spark wrote {_ROWS} rows with the sum {total}; run `upkeep audit`")
    return f"{_ROWS} rows written by Spark, the same {_ROWS} read by `bi` over HTTPS"


@contextlib.contextmanager
def _asking(cluster: Cluster, user: str) -> Iterator[Any]:
    connection = trino.dbapi.connect(  # type: ignore[no-untyped-call] # it has no types
        host=cluster.trino["host"],
        port=int(cluster.trino["port"]),
        user=user,
        auth=trino.auth.BasicAuthentication(user, cluster.trino[f"{user}_password"]),
        http_scheme="https",
        verify=cluster.ca_file,
        source="databank-smoke",
    )
    with contextlib.closing(connection):
        yield connection.cursor()


def airflow_runs_a_dag(cluster: Cluster) -> str:
    """Trigger the smoke DAG as a real account and wait until the run has succeeded."""
    url, session = cluster.airflow["url"], requests.Session()
    session.verify = cluster.ca_file
    account = {"username": cluster.airflow["user"], "password": cluster.airflow["password"]}
    token = _said(session.post(f"{url}/auth/token", json=account, timeout=30))["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"
    runs, run_id = f"{url}/api/v2/dags/databank_smoke/dagRuns", f"smoke-{cluster.mark}"
    until = time.monotonic() + _WAIT_S
    while session.get(f"{url}/api/v2/dags/databank_smoke", timeout=30).status_code == 404:
        _give_up_after(until, "Airflow does not know the DAG databank_smoke; look at airflow-dag-processor's journal")
    _said(session.post(runs, json={"dag_run_id": run_id, "logical_date": None}, timeout=30))
    try:
        while (state := _said(session.get(f"{runs}/{run_id}", timeout=30))["state"]) in {"queued", "running"}:
            _give_up_after(until, f"the DAG run is still {state}; look at airflow-scheduler's journal")
    finally:
        session.delete(f"{runs}/{run_id}", timeout=30)
    if state != "success":
        raise TerminalError(f"the DAG run ended as {state}; look at the task's log in Airflow")
    return "a DAG run succeeded"


def _said(answer: requests.Response) -> dict[str, Any]:
    if not answer.ok:
        raise TerminalError(f"Airflow answered {answer.status_code} to {answer.request.method} {answer.url}")
    found: dict[str, Any] = answer.json()
    return found


def _give_up_after(until: float, what: str) -> None:
    if time.monotonic() > until:
        raise TerminalError(f"{what} (waited {_WAIT_S:.0f} s)")
    time.sleep(1)


def new_mark() -> str:
    """What names this run's traces, so that two runs never meet."""
    return secrets.token_hex(4)
