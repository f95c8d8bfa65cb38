"""What the control node remembers: ids and secrets are made once, and certificates that strict clients take."""

from __future__ import annotations

import http.server
import json
import re
import ssl
import threading
import urllib.request
from pathlib import Path

import pytest
import yaml

from services.cluster import authority, state
from services.cluster.authority import Place
from services.cluster.state import State
from services.setup import paths
from spark_jobs.errors import TerminalError

GROUPS = {"kafka": ["b", "a", "c"], "trino_coordinator": ["a"]}


def test_ids_stay_whatever_the_inventorys_order_and_a_number_is_never_used_again(tmp_path: Path) -> None:
    known = State(tmp_path / "state")
    first = state.prepare(known, GROUPS)
    assert first["nodes"]["kafka"] == {"b": 1, "a": 2, "c": 3}
    formatted(known, "a")
    again = state.prepare(known, {"kafka": ["c", "a"], "trino_coordinator": ["a"]})
    assert again == first
    later = state.prepare(known, {"kafka": ["d", "a", "b", "c"]})
    assert later["nodes"]["kafka"] == {**first["nodes"]["kafka"], "d": 4}
    assert later["kafka_controllers"] == ["a", "b", "c"]
    assert later["kafka_directories"]["a"] == first["kafka_directories"]["a"]
    assert {len(identity) for identity in later["kafka_directories"].values()} == {22}


def formatted(known: State, host: str) -> None:
    """What a role remembers once it has formatted a broker."""
    (known.folder / "initialised").mkdir(exist_ok=True)
    (known.folder / "initialised" / f"kafka-{host}").touch()


def test_until_a_broker_is_formatted_the_inventory_says_who_the_controllers_are(tmp_path: Path) -> None:
    known = State(tmp_path / "state")
    assert state.prepare(known, {"kafka": ["a"]})["kafka_controllers"] == ["a"]
    assert state.prepare(known, GROUPS)["kafka_controllers"] == ["a", "b", "c"]
    formatted(known, "b")
    assert state.prepare(known, {"kafka": ["d", "b"]})["kafka_controllers"] == ["a", "b", "c"]


def test_a_password_that_no_file_could_hold_is_refused(tmp_path: Path) -> None:
    known = State(tmp_path / "state")
    state.prepare(known, GROUPS)
    held = yaml.safe_load(state._vault(known, "view", str(known.vault_file)))["databank_secrets"]
    for odd in ("it's-a-secret-word", "short", "https://x@y/z12345"):
        state._write_secrets(known, {**held, "trino_bi_password": odd}, [])
        with pytest.raises(TerminalError, match="trino_bi_password: found another character"):
            state.prepare(known, GROUPS)


def test_former_secrets_are_kept_while_hosts_may_have_them(tmp_path: Path) -> None:
    known = State(tmp_path / "state")
    state.prepare(known, GROUPS)
    seen = []
    for _ in range(7):
        seen.append(yaml.safe_load(state._vault(known, "view", str(known.vault_file)))["databank_secrets"])
        renewed = state.renew_secrets(known)
    state.prepare(known, GROUPS)
    held = yaml.safe_load(state._vault(known, "view", str(known.vault_file)))
    wanted = [{name: one[name] for name in renewed} for one in reversed(seen)]
    assert held["databank_secrets_before"] == wanted[:5]
    assert held["databank_secrets"]["trino_bi_password"] not in {one["trino_bi_password"] for one in seen}


def test_secrets_are_made_once_and_stand_nowhere_in_clear(tmp_path: Path) -> None:
    known = State(tmp_path / "state")
    state.prepare(known, GROUPS)
    first = state._vault(known, "view", str(known.vault_file))
    state.prepare(known, GROUPS)
    assert state._vault(known, "view", str(known.vault_file)) == first
    password = first.split("kafka_admin_password: ")[1].split()[0]
    assert all(password not in path.read_text() for path in known.folder.iterdir() if path.is_file())
    assert {path.stat().st_mode & 0o077 for path in known.folder.iterdir()} == {0}


def test_the_vaults_key_may_be_kept_elsewhere(tmp_path: Path) -> None:
    at_home = State(tmp_path / "state")
    first = state.prepare(at_home, GROUPS)
    moved = State(at_home.folder, at_home.vault_key.rename(tmp_path / "key"))
    assert state.prepare(moved, GROUPS) == first
    assert not at_home.vault_key.exists()


def test_data_are_forgotten_of_one_host_or_of_all(tmp_path: Path) -> None:
    known = State(tmp_path / "state")
    state.forget_data(known)  # nothing was made yet
    made = known.folder / "initialised"
    made.mkdir(parents=True)
    for name in ("kafka-h4", "kafka-x-h4", "namenode-h1"):
        (made / name).touch()
    state.forget_data(known, "h4")
    assert sorted(path.name for path in made.iterdir()) == ["kafka-x-h4", "namenode-h1"]
    state.forget_data(known)
    assert list(made.iterdir()) == []


@pytest.mark.parametrize("name", ["one_host", "three_hosts", "ten_hosts"])
def test_the_examples_place_every_component_that_verify_knocks_at(name: str) -> None:
    example = paths.REPO / "ansible" / "inventories" / "example" / f"{name}.yml"
    play = (paths.REPO / "ansible" / "playbooks" / "install.yml").read_text()
    placed = {group for group, own in yaml.safe_load(example.read_text()).items() if own.get("hosts")}
    wanted = {group for line in re.findall(r"hosts: (.+)", play) for group in line.split(":")}
    assert wanted - placed == {"trino_worker"} - placed  # a coordinator alone works itself


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        pytest.param("cluster.json", r"cluster\.json is missing, .*bring the file back", id="the ids"),
        pytest.param("vault.key", r"vault\.key is missing, and nothing else opens", id="the key of the vault"),
    ],
)
def test_a_state_that_lost_a_part_is_refused(tmp_path: Path, lost: str, said: str) -> None:
    known = State(tmp_path / "state")
    state.prepare(known, GROUPS)
    (known.folder / lost).unlink()
    with pytest.raises(TerminalError, match=said):
        state.prepare(known, GROUPS)


def test_a_broken_state_is_refused_and_kept(tmp_path: Path) -> None:
    known = State(tmp_path / "state")
    state.prepare(known, GROUPS)
    known.facts_file.write_text("{")
    with pytest.raises(TerminalError, match=r"cluster\.json cannot be read .*from a backup"):
        state.prepare(known, GROUPS)
    assert known.facts_file.read_text() == "{"


def test_a_strict_client_trusts_a_hosts_certificate_and_no_other_name(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    authority.ensure(folder, {"h1": Place("localhost", "127.0.0.1")})
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "h1.crt", folder / "h1.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    strict = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        port = server.server_address[1]
        with urllib.request.urlopen(f"https://localhost:{port}/", context=strict, timeout=10) as answer:
            assert answer.status == 200
        stranger = ssl.create_default_context()
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(f"https://localhost:{port}/", context=stranger, timeout=10)
    finally:
        server.shutdown()
        server.server_close()


def test_certificates_are_kept_and_made_anew_for_another_address(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    for address, is_new in (("192.0.2.1", True), ("192.0.2.1", False), ("192.0.2.2", True)):
        before = (folder / "h1.crt").read_bytes() if (folder / "h1.crt").exists() else b""
        authority.ensure(folder, {"h1": Place("h1", address)})
        assert ((folder / "h1.crt").read_bytes() != before) is is_new
    assert (folder / "h1.key").stat().st_mode & 0o077 == 0


def test_a_customers_authority_needs_every_certificate(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    authority.ensure(folder, {"h1": Place("h1", "192.0.2.1")})
    (folder / "ca.key").unlink()
    authority.ensure(folder, {"h1": Place("h1", "192.0.2.1")})
    with pytest.raises(TerminalError, match=r"no certificate for h2; put NAME\.crt"):
        authority.ensure(folder, {"h1": Place("h1", "192.0.2.1"), "h2": Place("h2", "192.0.2.2")})


def test_every_secret_that_a_role_asks_for_is_listed() -> None:
    listed = (paths.REPO / "ansible" / "secrets.yml").read_text()
    asked = set()
    for path in (paths.REPO / "ansible" / "roles").rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            asked |= {
                word.split(".", 1)[1] for word in _words(path.read_text()) if word.startswith("databank_secrets.")
            }
    assert asked
    assert all(f"{name}:" in listed for name in asked), json.dumps(sorted(asked))


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() or c in "_." else " " for c in text).split()
