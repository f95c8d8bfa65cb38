"""A migration from a database as an operator runs it: what it writes and shows holds no password and no identifier."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.clear_text import clear_values_in
from tests.migration_tables import KINDS, LINES, PASSWORD, OldDatabase, job_in, lines_mapping, old_database, order_line

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[OldDatabase]:
    with old_database(request.param) as old:
        yield old


@pytest.fixture
def old(server: OldDatabase) -> OldDatabase:
    server.empty()
    return server


SETTINGS = """
[storage]
root = "{folder}/lake"
[kafka]
bootstrap_servers = "127.0.0.1:1"
[ledger]
url = "sqlite:///{folder}/ledger.sqlite"
[trino]
url = "http://127.0.0.1:1"
[keys]
root_key_file = "{key_file}"
[spark]
master = "local[2]"
driver_memory_mb = 1024
local_dir = "{folder}/spark"
jars = {jars}
[workspace.grocery]
zone = "UTC"
history_complete_since = 2017-01-01
[source.old]
address = "{account.address}"
user = "{account.user}"
password_file = "{account.password_file}"
"""


def test_neither_password_nor_identifier_is_in_anything_that_is_written_or_shown(
    old, tmp_path, key_file, spark_settings
) -> None:
    phones = [str(13_900_000_000 + number * 7_919) for number in range(25)]
    old.table(LINES, name="lines")
    rows = [order_line(number, member=f"'{phone}'") for number, phone in enumerate(phones[:-1])]
    old.insert([*rows, order_line(24, member=f"'{phones[-1]}'", pieces="-1")], name="lines")
    job_in(tmp_path / "job", old.address, lines_mapping())
    folder, shown = tmp_path / "data", tmp_path / "data" / "events"
    shown.mkdir(parents=True)
    jars = json.dumps(list(spark_settings.jars))
    settings = SETTINGS.format(folder=folder, key_file=key_file, account=old.account, jars=jars)
    (tmp_path / "settings.toml").write_text(settings)
    # What Spark's UI shows of plans, settings and environment, the event log holds.
    events = f"spark.eventLog.enabled true\nspark.eventLog.compress false\nspark.eventLog.dir file:{shown}\n"
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text(events)
    verb = [sys.executable, "-m", "migration", "run", "--settings", str(tmp_path / "settings.toml")]
    ran = subprocess.run(
        [*verb, "--job", str(tmp_path / "job" / "job.yaml"), "--report", str(folder)],
        env={**os.environ, "SPARK_CONF_DIR": str(tmp_path / "conf")},
        capture_output=True,
        timeout=500,
    )
    (folder / "said").write_bytes(ran.stdout + ran.stderr)
    assert ran.returncode == 0, ran.stderr.decode()
    assert b"good: 24" in ran.stdout
    assert any(b"JDBCRelation" in path.read_bytes() for path in shown.rglob("*") if path.is_file())
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.name for path in written if PASSWORD.encode() in path.read_bytes()] == []
    assert clear_values_in(folder, {phone.encode() for phone in phones}) == []
