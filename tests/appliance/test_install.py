"""From the bundle alone onto three virgin hosts that have no way out: preflight, install, again, verify, knock."""

from __future__ import annotations

import copy
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import yaml

from services.setup import paths
from tests.appliance.cluster import CLIENT, HOSTS, Cluster, answer_of

PLATFORM_PYTHON = "/opt/databank/platform/current/venv/bin/python"
SEEN = "/root/processes.txt"


def test_preflight_names_each_planted_fault_with_its_remedy_and_changes_nothing(virgin: Cluster) -> None:
    hosts, faulty = virgin.hosts, copy.deepcopy(dict(virgin.inventory))
    faulty["all"]["vars"]["base_clock_is_foreign"] = False  # and h1 to h3 have no time daemon
    faulty["all"]["hosts"]["h3"]["host_memory_mb"] = 1024
    replace(virgin, inventory=faulty).write_inventory()
    hosts.run("h1", "systemd-run --quiet --unit=planted python3 -m http.server 9092")
    hosts.run("h2", "mount -t tmpfs -o size=1g planted /opt; mount -t tmpfs -o noexec planted /tmp")
    hosts.run("h3", "cp /etc/hosts /root/hosts; sed -i 's/^10.77.0.11 /10.77.0.199 /' /etc/hosts")
    try:
        answer = virgin.attempt("preflight")
        table = json.loads((virgin.state / "preflight.json").read_text())
    finally:
        hosts.run("h1", "systemctl stop planted")
        hosts.run("h2", "umount /opt /tmp")
        hosts.run("h3", "cp /root/hosts /etc/hosts; rm /root/hosts")
        virgin.write_inventory()
    assert answer.returncode != 0
    assert set(virgin.changed(answer.stdout).values()) == {0}
    failed = {(row["host"], row["check"]): row for row in table if row["result"] == "Fail"}
    assert all(row["remedy"] for row in failed.values())
    assert {
        ("h1", "ports"),
        ("h2", "disk /opt"),
        ("h2", "mounts"),
        ("h3", "memory"),
        ("h3", "names"),
        ("h1", "time daemon"),
    } <= set(failed)
    assert "9092/tcp (kafka_clients) held by python3" in failed["h1", "ports"]["found"]
    assert "/tmp is noexec" in failed["h2", "mounts"]["found"]
    assert "h1 is 10.77.0.199" in failed["h3", "names"]["found"]


def test_preflight_passes_and_changes_nothing(virgin: Cluster) -> None:
    assert set(virgin.changed(virgin.run("preflight")).values()) == {0}


def test_all_components_are_installed_and_nothing_tries_to_leave(virgin: Cluster) -> None:
    for name in ["control", *HOSTS]:
        watch_processes(virgin, name)
    said = virgin.run("install", "--diff")  # what it shows of files is looked through for secrets later
    assert "+++ after" in said
    assert all(number > 50 for number in virgin.changed(said).values())
    assert virgin.hosts.packets_that_tried_to_leave() == 0


def test_a_second_run_changes_nothing(virgin: Cluster) -> None:
    output = virgin.run("install", "--diff")
    assert virgin.changed(output) == dict.fromkeys(HOSTS, 0)
    assert "+++ " not in output


def test_every_door_opens_and_no_trace_is_left(virgin: Cluster) -> None:
    output = virgin.run("verify")
    assert output.count('"passed": true') == 5, output
    listed = virgin.hosts.run("h1", "databank services profiles key list --json").stdout
    assert json.loads(listed) == {"keys": []}
    answer = virgin.hosts.run("h1", "ls /var/lib/databank/databank/spark", check=False)
    assert "smoke" not in answer.stdout


def test_from_outside_only_the_open_doors_answer(virgin: Cluster) -> None:
    virgin.hosts.up(["outsider"])
    listed = yaml.safe_load((paths.REPO / "ansible/playbooks/group_vars/all/ports.yml").read_text())["databank_ports"]
    wanted = [(name, one["port"]) for name in HOSTS for one in listed if one.get("protocol", "tcp") == "tcp"]
    opened = answer_of(virgin.hosts, "outsider", "reach.py", wanted)
    assert set(opened) == {"h1:22", "h2:22", "h3:22", "h3:8443", "h3:8080"}


def test_trino_refuses_wrong_passwords_and_shows_a_certificate_of_its_authority(virgin: Cluster) -> None:
    said = answer_of(virgin.hosts, "outsider", "trino_door.py", {"url": "https://h3:8443"})
    assert said == ["401", "SSLCertVerificationError"]


def test_profiles_are_told_to_clients_with_a_key_alone(virgin: Cluster) -> None:
    virgin.hosts.run("outsider", f"ip address add {CLIENT}/24 dev host0")  # one machine is a stranger and a client
    key_id, key = virgin.profile_key("door")
    said = answer_of(virgin.hosts, "outsider", "profile_door.py", {"host": "h1", "client": CLIENT, "key": key})
    virgin.without_profile_key(key_id)
    stranger, in_clear, *answers = said
    assert stranger == "closed"
    assert in_clear in {"RemoteDisconnected", "BadStatusLine", "ConnectionResetError"}
    assert answers == ["SSLCertVerificationError", "401 unauthorised", "401 unauthorised", "503 not-loaded"]


def test_kafka_refuses_whom_it_does_not_know_and_what_is_not_allowed(virgin: Cluster) -> None:
    secrets = virgin.secrets()
    told = {"servers": [f"{name}:9092" for name in HOSTS], "topic": "foreign"}
    told |= {user: secrets[f"kafka_{user}_password"] for user in ("platform", "smoke")}
    said = answer_of(virgin.hosts, "h1", "kafka_door.py", told, python=PLATFORM_PYTHON)
    # The client tries until it gives up; why it was let in nowhere stands in its log.
    assert "SaslAuthenticationFailedError" in said.pop("a wrong password")
    assert said.pop("neither password nor TLS").startswith("no connection: ")
    assert said == {
        "its own topic, to read": "taken",
        "another's topic, to write": "TopicAuthorizationFailedError",
        "another's topic, to read": "KeyError",
        "a topic of a foreign name": "TopicAuthorizationFailedError",
    }


def test_spark_refuses_a_submission_without_its_secret(virgin: Cluster) -> None:
    home = f"$(dirname $({PLATFORM_PYTHON} -c 'import pyspark; print(pyspark.__file__)'))"
    java = "JAVA_HOME=$(dirname $(dirname $(readlink -f /usr/lib/jvm/java-21-openjdk-amd64/bin/java)))"
    options = "--master spark://h1:7077 --conf spark.ui.enabled=false --driver-memory 512m"
    options += " --conf spark.driver.port=7100 --conf spark.driver.blockManager.port=7140"
    script = f"{home}/examples/src/main/python/pi.py"
    command = (
        f"cd /tmp && SPARK_CONF_DIR=/nowhere {java} SPARK_HOME={home} timeout 150 {home}/bin/spark-submit {options}"
    )
    answer = virgin.hosts.run("h2", f"{command} {script} 1", check=False)
    assert answer.returncode != 0
    assert "Pi is roughly" not in answer.stdout
    assert "All masters are unresponsive" in answer.stderr, answer.stderr[-3000:]


def test_every_unit_is_hardened(virgin: Cluster) -> None:
    exposed = {}
    for name in HOSTS:
        others = [f"{unit}.service" for unit in virgin.other_units_of(name)]
        for unit in [*virgin.units_of(name), *others]:
            said = virgin.hosts.run(name, f"systemd-analyze security --no-pager {unit} | tail -n 1").stdout
            exposed[name, unit] = float(re.findall(r"([\d.]+) [A-Z]+", said)[0])
    assert len(exposed) >= 16 + 2 + 4 + 3
    assert {one: level for one, level in exposed.items() if level > 5.0} == {}


def test_every_alert_fires_when_it_shall(virgin: Cluster) -> None:
    said = virgin.hosts.run("h2", "cd /etc/prometheus && promtool test rules alerts.test.yml")
    assert "SUCCESS" in said.stdout + said.stderr


def test_what_is_measured_arrives_from_every_jvm_and_host(virgin: Cluster) -> None:
    found = virgin.measured("up")
    url = "http://10.77.0.12:9090/consoles/databank.html"
    asked = f"from urllib.request import urlopen; print(urlopen('{url}').read().decode())"
    page = virgin.hosts.run("h2", f'python3 -c "{asked}"').stdout
    assert "<td>spark_master</td><td>h1</td>" in page
    assert len(found) >= 3 + 3 + 1 + 3 + 1 + 1 + 2 + 1 + 1
    assert [one["metric"] for one in found if one["value"][1] != "1"] == []


def test_files_with_secrets_are_for_their_service_alone(virgin: Cluster) -> None:
    secrets = virgin.secrets()
    found = {name: answer_of(virgin.hosts, name, "find_secrets.py", secrets) for name in HOSTS}
    wanted = yaml.safe_load((Path(__file__).with_name("files_with_secrets.yml")).read_text())
    assert found == {name: dict(wanted["every host"], **wanted[name]) for name in HOSTS}


def test_no_secret_was_seen_in_processes_journals_logs_or_what_was_printed(virgin: Cluster) -> None:
    secrets = virgin.secrets()
    assert len(secrets) > 15
    places = {"what the verbs printed": "".join(virgin.said)}
    for name in ["control", *HOSTS]:
        places[f"processes of {name}"] = virgin.hosts.run(name, f"cat {SEEN}; ps axww -o args").stdout
        told = virgin.hosts.run(name, "journalctl --no-pager --output=cat; cat -- /proc/*/cmdline; true")
        places[f"journal of {name}"] = told.stdout
        # Numbers, not lines: what is found is not printed again.
        logs = "find /var/log -type f -not -path '/var/log/journal/*' -exec cat {} +"
        places[f"logs of {name}"] = virgin.hosts.run(name, logs).stdout
    assert all(len(text) > 100 for text in places.values())
    assert {
        (place, name) for place, text in places.items() for name, secret in secrets.items() if secret in text
    } == set()


def test_what_watches_processes_sees_a_secret_that_is_there_for_a_moment(virgin: Cluster) -> None:
    virgin.hosts.run("h1", "sh -c 'sleep 1; : planted-secret'")
    assert "planted-secret" in virgin.hosts.run("h1", f"cat {SEEN}").stdout


def watch_processes(virgin: Cluster, name: str) -> None:
    program = Path(__file__).with_name("programs") / "watch_processes.py"
    shutil.copy(program, virgin.hosts.root_of(name) / "root")
    virgin.hosts.run(name, f"systemd-run --unit=watch --nice=10 python3 /root/watch_processes.py {SEEN}")
