"""From one release to the next and back while Kafka and the profile API refuse nothing; new secrets; at last the hosts
as before."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.setup import paths
from services.testing.campaign import append_proof
from tests.appliance.cluster import HOSTS, Cluster, answer_of, build_bundle

pytestmark = pytest.mark.lifecycle
PLATFORM_PYTHON = "/opt/databank/platform/current/venv/bin/python"
OLD, NEW = "0.1.0", "0.2.0"
ENOUGH = "/root/probed"
Pair = tuple[Cluster, Cluster]


@pytest.fixture(scope="module")
def before(virgin: Cluster) -> dict[str, set[str]]:
    """What the hosts were like."""
    return {name: picture_of(virgin, name) for name in HOSTS}


@pytest.fixture(scope="module")
def pair(virgin: Cluster, before: dict[str, set[str]]) -> tuple[Cluster, Cluster]:
    """The same hosts, with the control node on the release before and on this one; the former is installed."""
    virgin.unpack(build_bundle(paths.state_dir() / "appliance-before", release=OLD))
    old = virgin.of_release(OLD)
    old.run("install")
    return old, virgin.of_release(NEW)


def test_the_way_up_back_and_up_again_refuses_neither_message_nor_profile(pair: Pair) -> None:
    old, new = pair
    assert kafka_of(old) == {"4.1.1"}
    assert "`cluster upgrade` goes there" in new.attempt("install").stderr
    for step, cluster, words, version in (
        ("up", new, ["upgrade", "--to", "before-1"], "4.1.2"),
        ("back", old, ["rollback"], "4.1.1"),
        ("up again", new, ["upgrade", "--to", "before-2"], "4.1.2"),
    ):
        began = time.monotonic()
        counted = probed(cluster, partial(cluster.run, *words))
        append_proof(f"upgrade probe, {step}: {json.dumps(counted)}", "measured", time.monotonic() - began)
        assert counted["Kafka"]["refused"] == []
        assert counted["Kafka"]["missing"] == 0
        assert counted["Kafka"]["sent"] > 100
        assert counted["profiles"]["refused"] == []
        assert counted["profiles"]["asked"] > 100
        assert kafka_of(cluster) == {version}
        runs = {
            release_of(cluster, "serving", "databank-ingest"),
            release_of(cluster, "profiles", "databank-profiles"),
            release_of(cluster, "profiles", "databank-profiles-load"),
        }
        assert runs == {NEW if cluster is new else OLD}
        cluster.run("verify")


def test_once_it_is_final_there_is_no_way_back(pair: Pair) -> None:
    old, new = pair
    new.run("finalise")
    refused = old.attempt("rollback")
    assert refused.returncode == 1
    assert "0.2.0 is final" in refused.stderr
    assert new.changed(new.run("install")) == dict.fromkeys(HOSTS, 0)


def test_new_certificates_and_new_passwords_reach_every_service(pair: Pair) -> None:
    _, new = pair
    shown = certificate_of(new)
    new.run("rotate", "certificates")
    assert certificate_of(new) != shown
    secrets = new.secrets()
    # Changed by hand, so that there is a difference that may be shown.
    with (new.hosts.root_of("h3") / "etc/systemd/system/airflow-triggerer.service").open("a") as unit:
        unit.write("# by hand\n")
    said = new.run("rotate", "passwords", "--diff")
    renewed = new.secrets()
    assert "-# by hand" in said
    assert [name for held in (secrets, renewed) for name, secret in held.items() if secret in said] == []
    assert {name for name in secrets if secrets[name] == renewed[name]} == {"platform_root_key", "airflow_fernet_key"}
    new.run("verify")
    assert new.changed(new.run("install")) == dict.fromkeys(HOSTS, 0)


def test_a_support_bundle_says_much_and_no_secret(pair: Pair) -> None:
    _, new = pair
    new.run("support_bundle", "--to", "support")
    files = {path.name: path.read_text() for path in (new.control / "support").iterdir()}
    assert sorted(files) == ["cluster.json", "h1.txt", "h2.txt", "h3.txt"]
    assert all("journal of kafka.service" in files[f"{name}.txt"] for name in HOSTS)
    assert "[postgresql_airflow_password]" in files["h3.txt"]  # it was there, and was taken out
    assert "[metastore_keystore_password]" in files["h2.txt"]
    settings = (new.hosts.root_of("h2") / "etc/databank/metastore/metastore-site.xml").read_text()
    (keystore,) = re.findall(r"keystore\.password</name><value>(\w{64})<", settings)
    secrets = new.secrets() | {"keystore": keystore, "a key": "PRIVATE KEY"}
    assert [name for name, secret in secrets.items() if any(secret in text for text in files.values())] == []


def test_an_uninstallation_leaves_the_hosts_as_they_were(pair: Pair, before: dict[str, set[str]]) -> None:
    _, new = pair
    assert "Is this the right inventory?" in new.attempt("uninstall", "--name", "other", "--data").stdout
    new.run("uninstall", "--name", "databank", "--data")
    assert not (new.state / "history.json").exists()
    assert list((new.state / "initialised").iterdir()) == []
    assert {name: differences(before[name], picture_of(new, name)) for name in HOSTS} == {name: [] for name in HOSTS}


def probed(cluster: Cluster, act: Callable[[], object]) -> dict[str, Any]:
    """What a client on a host sees while something is done to the cluster."""
    cluster.hosts.run("h1", f"rm -f {ENOUGH}")
    told = {"servers": [f"{name}:9092" for name in HOSTS], "until": ENOUGH, "hdfs_url": "http://h1:9870"}
    told |= {"password": cluster.secrets()["kafka_smoke_password"], "trino_url": "https://h3:8443"}
    key_id, key = cluster.profile_key("probe")
    told |= {"profiles_url": f"https://{cluster.host_of('profiles')}:8360", "key": key}
    counted: dict[str, Any] = {}
    python = str(cluster.hosts.run("h1", f"readlink -f {Path(PLATFORM_PYTHON).parent}").stdout.strip()) + "/python"
    asking = threading.Thread(
        target=lambda: counted.update(answer_of(cluster.hosts, "h1", "probe.py", told, python=python))
    )
    asking.start()
    try:
        act()
    finally:
        cluster.hosts.run("h1", f"touch {ENOUGH}")
        asking.join()
    cluster.without_profile_key(key_id)
    return counted


def kafka_of(cluster: Cluster) -> set[str]:
    """The versions of Kafka that the brokers run."""
    command = "ls -l /proc/$(systemctl show --value --property MainPID kafka)/fd"
    said = "".join(cluster.hosts.run(name, command).stdout for name in HOSTS)
    return set(re.findall(r"kafka_2\.13-([\d.]+)\.jar", said))


def release_of(cluster: Cluster, group: str, unit: str) -> str:
    """The release of the code that a unit runs: its process was started from there."""
    host = cluster.host_of(group)
    main = f"$(systemctl show --value --property MainPID {unit})"
    python = cluster.hosts.run(host, f"tr '\\0' '\\n' < /proc/{main}/cmdline | head -n 1").stdout.strip()
    project = Path(python).parents[2] / "code" / "pyproject.toml"
    found = re.search(r'^version = "(.+)"$', cluster.hosts.run(host, f"cat {project}").stdout, re.MULTILINE)
    assert found, project
    return found[1]


def certificate_of(cluster: Cluster) -> str:
    """What Trino shows."""
    command = "openssl s_client -connect h3:8443 < /dev/null 2>/dev/null | openssl x509 -noout -serial"
    return cluster.hosts.run("h1", command).stdout


def picture_of(cluster: Cluster, name: str) -> set[str]:
    """Files with owner and mode, accounts, packages, rules of the firewall; not what any system writes by itself."""
    system = "/proc /sys /dev /run /tmp /var/tmp /var/log /var/cache /var/lib/apt /var/lib/dpkg /var/lib/systemd"
    prune = " -o ".join(f"-path {path}" for path in [*system.split(), "/root", "/mnt", "/home"])
    files = rf"find / \( {prune} \) -prune -o -printf 'file %p %M %u %g %l\n'"
    more = "getent passwd; getent group; dpkg-query --show --showformat='package ${Package} ${db:Status-Status}\n'"
    return set(cluster.hosts.run(name, f"{files}; {more}; nft list ruleset; true").stdout.splitlines())


# Debian's own doing at any change of packages or accounts.
OWN_DOING = re.compile(
    r"^file /etc/(passwd|group|shadow|gshadow|subuid|subgid)-? |^file /etc/ld\.so\.cache |^file /var/lib/(ucf|python)"
    r"|__pycache__|^file /etc/ssl/certs|^file /etc/ca-certificates|\.dpkg-"
)


def differences(before: set[str], after: set[str]) -> list[str]:
    """What was not there before, or is no longer."""
    lines = [f"+ {line}" for line in after - before] + [f"- {line}" for line in before - after]
    return sorted(line for line in lines if not OWN_DOING.search(line[2:]))
