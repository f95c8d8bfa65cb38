"""`./databank profiles`: its verbs, what they print, and what they refuse."""

from __future__ import annotations

import io
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from services.profiles import __main__ as profiles
from services.profiles.serving import address_of, door_of, held_socket
from spark_jobs.errors import TerminalError
from tests.profile_lake import WORKSPACE, LakeWriter, phone
from tests.profile_settings import write_settings


@pytest.fixture
def settings(tmp_path: Path, key_file: Path) -> str:
    """The settings of a store that holds nothing yet, and a lake with one publication."""
    lake = LakeWriter(tmp_path / "lake", key_file)
    lake.next()
    lake.person(1)
    lake.holds(1, "phone", phone(1))
    lake.publish({1: {"dormant": "true"}})
    return str(write_settings(tmp_path, key_file))


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The facts that a verb prints."""
    assert profiles.main([*arguments, "--json"]) == 0
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return facts


def test_load_and_status(settings: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "status", "--settings", settings) == {"served": [], "generations": [], "refusals": 0}
    load = ("load", "--workspace", WORKSPACE, "--memory-mb", "256", "--niceness", "0", "--settings", settings)
    assert (told(capsys, *load)["changed"], told(capsys, *load)["changed"]) == (True, False)
    status = told(capsys, "status", "--settings", settings)
    assert [(one["workspace"], one["publication"]) for one in status["served"]] == [(WORKSPACE, 1)]
    assert [(one["kind"], one["state"]) for one in status["generations"]] == [("identity", "ready"), ("tags", "ready")]


def test_a_key_is_made_listed_without_its_secret_and_revoked(settings: str, capsys: pytest.CaptureFixture[str]) -> None:
    create = (
        "key",
        "create",
        "--name",
        "shop",
        "--workspaces",
        "grocery,toys",
        "--scopes",
        "profiles:read,sensitive:minors",
    )
    made = told(capsys, *create, "--days", "30", "--settings", settings)
    assert made["key"].startswith(f"dbk_{made['key_id']}_")
    told(capsys, "key", "revoke", made["key_id"], "--settings", settings)
    (listed,) = told(capsys, "key", "list", "--settings", settings)["keys"]
    assert (listed["name"], listed["workspaces"], listed["rate"]) == ("shop", ["grocery", "toys"], 100.0)
    assert listed["revoked_at"] is not None
    assert made["key"].rpartition("_")[2] not in json.dumps(listed)


def test_a_refusal_is_read_from_a_file_or_standard_input(
    settings: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told(capsys, "load", "--workspace", WORKSPACE, "--niceness", "0", "--settings", settings)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{phone(1)}\n"))
    assert told(capsys, "refuse", "phone", "--settings", settings) == {"noted": 1, "marked": 1}
    assert told(capsys, "status", "--settings", settings)["refusals"] == 1
    (tmp_path / "value").write_text(phone(1))
    allow = ("allow", "phone", "--value-file", str(tmp_path / "value"), "--settings", settings)
    assert told(capsys, *allow) == {"taken_back": 1}


def test_what_cannot_be_done_ends_with_1_and_says_what_to_do(
    settings: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("guest\n"))
    for arguments, said in (
        (("load", "--workspace", "toys"), "workspace 'toys' is not in the settings"),
        (("refuse", "phone"), "a constant that means nobody"),
        (("key", "revoke", "nothing"), "no key 'nothing' is in force"),
        (("key", "create", "--name", "x", "--workspaces", "*", "--rate", "0"), "a rate above 0"),
    ):
        assert profiles.main([*arguments, "--settings", settings]) == 1
        assert said in capsys.readouterr().err
    without = Path(settings).read_text().replace("[profiles]", "[metrics]").split("[metrics]")[0]
    tail = "[workspace.x]\nzone = 'UTC'\nhistory_complete_since = 2017-01-01\n"
    Path(settings).write_text(without + tail)
    assert profiles.main(["status", "--settings", settings]) == 1
    assert "have no [profiles]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["serve", "--help"],
        ["load", "--help"],
        ["follow", "--help"],
        ["key", "create", "--help"],
        ["refuse", "--help"],
    ],
)
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        profiles.main(arguments)
    assert ended.value.code == 0
    assert "usage: ./databank profiles" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("address", "said"),
    [
        pytest.param("8360", "wanted host:port", id="no host"),
        pytest.param("0.0.0.0:8360", "--certificate", id="every address in clear"),
        pytest.param("profiles.example:8360", "--certificate", id="a name in clear"),
    ],
)
def test_it_does_not_listen_to_the_network_in_clear(address: str, said: str) -> None:
    with pytest.raises(TerminalError, match=said):
        door_of(address, None, None)


def test_it_listens_on_loopback_in_clear_and_elsewhere_with_a_certificate() -> None:
    assert (door_of("127.0.0.1:8360", None, None).port, door_of("[::1]:1", None, None).host) == (8360, "::1")
    assert door_of("0.0.0.0:8360", Path("c"), Path("k")).certificate == Path("c")
    with pytest.raises(TerminalError, match="come together"):
        door_of("127.0.0.1:1", Path("c"), None)


def test_a_socket_that_systemd_holds_is_taken_once_and_held_to_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert held_socket() is None  # it was for another process
    assert "LISTEN_FDS" not in os.environ
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    with pytest.raises(TerminalError, match="passes 2 sockets"):
        held_socket()
    with socket.create_server(("127.0.0.1", 0)) as near, socket.create_server(("0.0.0.0", 0)) as far:
        assert door_of(address_of(near), None, None, held=near).port == near.getsockname()[1]
        with pytest.raises(TerminalError, match="--certificate"):
            door_of(address_of(far), None, None, held=far)
