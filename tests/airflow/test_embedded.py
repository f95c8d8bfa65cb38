"""The real Airflow of `up --airflow`: who gets in, where it listens, what is private."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from services.embedded import airflow
from services.embedded.stack import EmbeddedStack
from tests.airflow.web import Web

LOOPBACK_IN_HEX = {"0100007F", "0000000000000000FFFF00000100007F"}
LISTENING = "0A"
SERVERS_OF_LOGS = (8793, 8794)


def listeners() -> list[tuple[str, int]]:
    """Address, as the kernel writes it, and port of everything that listens here."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, _, port = line.split()[1].partition(":")
            if line.split()[3] == LISTENING:
                found.append((address, int(port, 16)))
    return found


@pytest.mark.parametrize("password", [None, "admin", ""], ids=["nothing", "the usual one", "none"])
def test_nobody_gets_in_without_the_account(stack: EmbeddedStack, web: Web, password: str | None) -> None:
    assert "dags" in web.get("dags")
    if password is None:
        assert requests.get(f"{stack.airflow_url}/api/v2/dags", timeout=60).status_code == 401
        return
    account = {"username": airflow.USER, "password": password}
    answer = requests.post(f"{stack.airflow_url}/auth/token", json=account, timeout=60)
    assert 400 <= answer.status_code < 500


def test_airflow_listens_on_loopback_alone(stack: EmbeddedStack, web: Web) -> None:
    port = int(stack.airflow_url.rpartition(":")[2])
    assert {address for address, one in listeners() if one == port} <= LOOPBACK_IN_HEX
    assert {port} <= {one for _, one in listeners()}
    assert not {one for _, one in listeners()} & set(SERVERS_OF_LOGS)


def test_what_is_secret_is_private_and_in_no_log(stack: EmbeddedStack, web: Web) -> None:
    folder = airflow.home(stack.layout)
    for name in ("secrets.json", "password", "airflow.cfg"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600, name
    secret = json.loads((folder / "secrets.json").read_text())
    logs = [path for path in stack.layout.logs.rglob("*") if path.is_file()]
    assert logs
    for path in logs:
        text = path.read_text(errors="replace")
        assert not [name for name, value in secret.items() if value in text], path
