"""Settings: one message names every problem; nothing is guessed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.settings import LiveSettings, load

GOOD = """
[storage]
root = "/data/lake/"
[kafka]
bootstrap_servers = "127.0.0.1:9092"
[ledger]
url = "sqlite:////data/ledger.sqlite"
[trino]
url = "http://127.0.0.1:8080"
[keys]
root_key_file = "/data/keys/root.json"
[spark]
master = "local[2]"
driver_memory_mb = 1024
local_dir = "/data/spark"
jars = []
[workspace.grocery]
zone = "America/New_York"
history_complete_since = 2017-01-01
"""


def test_good_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD)
    settings = load(path)
    assert settings.storage_root == "/data/lake"
    assert settings.workspace("grocery").zone.key == "America/New_York"


def test_the_profile_api_is_set_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD)
    assert load(path).profiles is None
    path.write_text(f'{GOOD}[profiles]\nurl = "sqlite:////data/profiles.sqlite"\n')
    with pytest.raises(TerminalError, match=r"missing key 'address'.*missing key 'refusal_tag'"):
        load(path)


def test_live_tags_are_of_workspaces_that_there_are(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD)
    assert load(path).live is None
    path.write_text(f'{GOOD}[live]\nworkspaces = ["grocery"]\n')
    assert load(path).live == LiveSettings(("grocery",))
    path.write_text(f'{GOOD}[live]\nworkspaces = ["grocery", "grocry", 5]\n')
    with pytest.raises(TerminalError, match=r"names 'grocry', wanted some of grocery.*names 5"):
        load(path)


def test_retention_is_whole_days_of_tables_and_none_where_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD)
    assert load(path).retention_days == ()
    path.write_text(f'{GOOD}[retention]\n"raw.events" = 400\n"quarantine.rows" = 90\n')
    assert load(path).retention_days == (("quarantine.rows", 90), ("raw.events", 400))
    path.write_text(f'{GOOD}[retention]\n"raw.events" = 0\n"core.events" = true\n')
    with pytest.raises(TerminalError, match=r"'raw.events' is 0, wanted whole days.*'core.events' is True"):
        load(path)


def test_every_problem_is_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    broken = GOOD.replace("driver_memory_mb = 1024", 'driver_memory_mb = "1024"').replace("[kafka]", "[kafak]")
    path.write_text(broken.replace("America/New_York", "Eastern"))
    with pytest.raises(TerminalError) as error:
        load(path)
    for part in ("kafak", "missing section [kafka]", "driver_memory_mb is str, wanted int", "'Eastern'"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("good", "broken", "said"),
    [
        ('[kafka]\nbootstrap_servers = "127.0.0.1:9092"', "", "missing section [kafka]"),
        ('[storage]\nroot = "/data/lake/"', "", "missing section [storage]"),
        ("driver_memory_mb = 1024", "driver_memory_mb = -5", "driver_memory_mb is -5, wanted more than 0"),
        ("jars = []", "jars = [1]", "jars holds what is no path"),
        ("America/New_York", "America", "zone 'America' is not a zone name"),
        ("America/New_York", "A" * 300, "is not a zone name"),
    ],
)
def test_what_looks_right_and_is_not(tmp_path: Path, good: str, broken: str, said: str) -> None:
    path = tmp_path / "settings.toml"
    assert good in GOOD
    path.write_text(GOOD.replace(good, broken))
    with pytest.raises(TerminalError, match=re.escape(said)):
        load(path)


@pytest.mark.parametrize("value", ["5", "true", '"text"', "[]"])
def test_a_section_that_is_none(tmp_path: Path, value: str) -> None:
    path = tmp_path / "settings.toml"
    lines = GOOD.replace('[kafka]\nbootstrap_servers = "127.0.0.1:9092"\n', "")
    path.write_text(f"kafka = {value}\n{lines}")
    with pytest.raises(TerminalError, match=r"\[kafka\] is \w+, wanted a section of keys"):
        load(path)


@pytest.mark.parametrize("content", ["[storage", "\x00", "= 1"])
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(content)
    with pytest.raises(TerminalError, match="not valid TOML"):
        load(path)


def test_a_missing_file_and_no_file_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABANK_SETTINGS", raising=False)
    with pytest.raises(TerminalError, match="cannot be read"):
        load(tmp_path / "none.toml")
    with pytest.raises(TerminalError, match="DATABANK_SETTINGS"):
        load()


def test_an_unknown_workspace_names_those_that_exist(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD)
    with pytest.raises(TerminalError, match="found: grocery"):
        load(path).workspace("toys")


ACCOUNT = """
user = "platform"
password_file = "{password}"
ca_file = "/etc/ca.crt"
"""


def test_a_cluster_has_accounts_whose_passwords_lie_in_files(tmp_path: Path) -> None:
    password, path = tmp_path / "password", tmp_path / "settings.toml"
    password.write_text("secret\n")
    account = ACCOUNT.format(password=password)
    text = GOOD.replace("[ledger]", f"{account}[ledger]").replace("[keys]", f"{account}[keys]")
    path.write_text(text.replace('root = "/data/lake/"', 'root = "hdfs://h1:8020/lake"\nwebhdfs = "http://h1:9870"'))
    settings = load(path)
    assert settings.webhdfs_url == "http://h1:9870"
    assert settings.kafka_account == settings.trino_account
    assert settings.trino_account
    assert (settings.trino_account.user, settings.trino_account.password()) == ("platform", "secret")
    password.unlink()
    with pytest.raises(TerminalError, match="password"):
        settings.trino_account.password()


def test_who_runs_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD)
    assert not load(path).ingest_is_service
    path.write_text(f"{GOOD}\n[ingest]\nservice = true\n")
    assert load(path).ingest_is_service
    path.write_text(f"{GOOD}\n[ingest]\nservice = 1\nservise = true\n")
    with pytest.raises(TerminalError, match=r"unknown key 'servise'.*service is int, wanted bool"):
        load(path)


def test_half_an_account_is_none_and_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD.replace("[ledger]", 'user = "platform"\n[ledger]'))
    with pytest.raises(TerminalError, match="password_file"):
        load(path)


def test_where_the_node_exporter_reads_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD)
    assert load(path).metrics_dir is None
    path.write_text(GOOD + '[metrics]\ntextfile_dir = "/var/lib/measured"\n')
    assert load(path).metrics_dir == Path("/var/lib/measured")
    path.write_text(GOOD + "[metrics]\ndir = 1\n")
    with pytest.raises(TerminalError, match=r"\[metrics\] unknown key 'dir'"):
        load(path)
