"""What could keep a host from running its components is planted on a made-up host, and the probe names it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.ansible.loading import ANSIBLE, load
from tests.ansible.made_up_host import ADDRESSES, FILES, GB, REQUEST, SERVICE, Mount, Usage, asked, probe, write

NAMED = {"ssh": 22, "kafka_clients": 9092, "postgresql": 5432, "profiles": 8360}
TCP = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROLE = ANSIBLE / "roles" / "preflight"
table = load("preflight/filter_plugins/preflight.py")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a good host, and what the kernel and the name server say there."""
    for path, text in FILES.items():
        write(tmp_path, path, text)
    monkeypatch.setattr(probe, "ROOT", tmp_path)
    monkeypatch.setattr(probe, "addresses_of", lambda name: [ADDRESSES[name]])
    monkeypatch.setattr(
        probe, "names_of", lambda address: [f"{n}.example.com" for n, a in ADDRESSES.items() if a == address]
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * GB, 50 * GB, 50 * GB))
    monkeypatch.setattr(os, "statvfs", lambda _: Mount(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def test_a_good_host_passes_every_check(host: Path) -> None:
    rows = probe.check(REQUEST)
    assert {one["result"] for one in rows} == {"Pass"}
    checks = ["system", "python3", "systemd", "root", "cpus", "memory", "disk /opt, /var/lib", "mounts", "open files"]
    assert [one["check"] for one in rows] == [*checks, "swap", "ports", "names", "clock", "time daemon"]
    assert {one["remedy"] for one in rows} == {""}


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        pytest.param("etc/os-release", "ID=debian\nVERSION_ID=12\n", ("system", "Fail", "debian 12"), id="old Debian"),
        pytest.param("etc/os-release", "ID=rhel\nVERSION_ID=9.4\n", ("system", "Fail", "rhel 9.4"), id="no Debian"),
        pytest.param("proc/meminfo", "MemTotal: 2620416 kB\n", ("memory", "Fail", "2559 MB (MemTotal)"), id="memory"),
        pytest.param(
            "sys/fs/cgroup/memory.max",
            f"{2559 << 20}\n",
            ("memory", "Fail", "2559 MB (cgroup memory.max)"),
            id="memory of the control group",
        ),
        pytest.param("sys/fs/cgroup/cpu.max", "100000 100000\n", ("cpus", "Warn", "1"), id="CPUs of the control group"),
        pytest.param(
            "proc/1/limits", "Max open files 1024 65536 files\n", ("open files", "Warn", "65536"), id="some open files"
        ),
        pytest.param(
            "proc/1/limits", "Max open files 1024 4096 files\n", ("open files", "Fail", "4096"), id="few open files"
        ),
        pytest.param(
            "proc/swaps", "Filename\n/dev/vdb partition\n", ("swap", "Warn", "on, vm.swappiness is 60"), id="swap"
        ),
        pytest.param("proc/77/comm", "bash\n", ("time daemon", "Fail", "none runs"), id="no time daemon"),
    ],
)
def test_a_fault_in_a_file_of_the_host_is_named(host: Path, path: str, text: str, expected: tuple[str, ...]) -> None:
    write(host, path, text)
    ((check, result, found),) = asked()
    assert (check, result) == expected[:2]
    assert found.startswith(expected[2])


def test_another_python_and_another_first_process_are_named(host: Path) -> None:
    assert [one[:2] for one in asked(python="3.5")] == [("python3", "Fail")]
    write(host, "proc/1/comm", "tini\n")
    shutil.rmtree(host / "run")
    assert asked() == [("systemd", "Fail", "tini")]


def test_swap_that_is_hardly_used_passes(host: Path) -> None:
    write(host, "proc/swaps", "Filename\n/dev/vdb partition\n")
    write(host, "proc/sys/vm/swappiness", "10\n")
    assert asked() == []


def test_no_limit_of_a_control_group_is_no_limit(host: Path) -> None:
    write(host, "sys/fs/cgroup/memory.max", "max\n")
    write(host, "sys/fs/cgroup/cpu.max", "max 100000\n")
    assert asked() == []


def test_the_inventory_limits_memory_and_says_what_components_need(host: Path) -> None:
    assert asked(host_memory_mb=2559) == [("memory", "Fail", "2559 MB (host_memory_mb)")]
    assert asked(host_memory_mb=2559, memory_mb_of={"kafka": 1535}) == []
    assert asked(host_memory_mb=9000) == []  # it cannot add any


def test_what_is_promised_to_keep_the_time_is_a_warning(host: Path) -> None:
    write(host, "proc/77/comm", "bash\n")
    assert asked(time_servers=["192.0.2.1"]) == [("time daemon", "Warn", "none runs")]
    assert asked(clock_is_foreign=True) == [("time daemon", "Warn", "none runs")]


@pytest.mark.parametrize(
    ("offset_s", "error_s", "result"),
    [
        pytest.param(0.19, 0.0, None, id="close"),
        pytest.param(-0.3, 0.01, "Warn", id="behind"),
        pytest.param(0.9, 0.0, "Warn", id="nearly a second"),
        pytest.param(1.1, 0.01, "Fail", id="ahead"),
        pytest.param(-3600.0, 0.5, "Fail", id="another time zone"),
        pytest.param(0.5, 0.4, None, id="a slow connection proves nothing"),
        pytest.param(None, None, "Fail", id="not measured"),
    ],
)
def test_a_clock_that_is_off_is_named(host: Path, offset_s: float, error_s: float, result: str | None) -> None:
    found = asked(clock={"offset_s": offset_s, "error_s": error_s})
    assert [one[:2] for one in found] == ([("clock", result)] if result else [])


def test_disk_is_summed_over_what_lies_on_it(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * GB, 0, 12 * GB))
    assert asked() == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * GB, 0, 12 * GB - 1))
    assert asked() == [("disk /opt, /var/lib", "Fail", "12.0 GB free of 100.0 GB")]


def test_an_installed_host_is_measured_by_the_size_of_its_disk(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(host, "etc/systemd/system/kafka.service", SERVICE)
    for total, free, result in ((12, 2, None), (12, 1, "Warn"), (11, 5, "Fail")):
        usage = Usage(total * GB, 0, free * GB)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        assert [one[1] for one in asked()] == ([result] if result else [])


@pytest.mark.parametrize(
    ("folder", "flag", "found"),
    [
        pytest.param("tmp", os.ST_NOEXEC, "/tmp is noexec", id="Java's temporary folder"),
        pytest.param("opt", os.ST_NOEXEC, "/opt is noexec", id="programs"),
        pytest.param("var/lib", os.ST_RDONLY, "/var/lib is read-only", id="data"),
        pytest.param("var/lib", os.ST_NOEXEC, None, id="data are not run"),
    ],
)
def test_a_mount_option_is_named(
    host: Path, monkeypatch: pytest.MonkeyPatch, *, folder: str, flag: int, found: str | None
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: Mount(flag if path == host / folder else 0))
    assert asked() == ([("mounts", "Fail", found)] if found else [])


@pytest.mark.parametrize(
    ("forward", "backward", "expected"),
    [
        pytest.param(["127.0.1.1"], ["h1"], ("Fail", "h1 is 127.0.1.1"), id="loopback"),
        pytest.param(["127.0.1.1", "192.0.2.11"], ["h1"], ("Fail", "h1 is 127.0.1.1, 192.0.2.11"), id="both"),
        pytest.param([], ["h1"], ("Fail", "h1 is unknown"), id="no address"),
        pytest.param(["192.0.2.11"], [], ("Warn", "192.0.2.11 is unknown"), id="no name"),
        pytest.param(["192.0.2.11"], ["h10.example.com"], ("Warn", "192.0.2.11 is h10.example.com"), id="another"),
        pytest.param(["192.0.2.11"], ["h1.example.com", "h1"], None, id="long and short"),
    ],
)
def test_a_name_that_leads_elsewhere_is_named(
    host: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    forward: list[str],
    backward: list[str],
    expected: tuple[str, ...] | None,
) -> None:
    monkeypatch.setattr(probe, "addresses_of", lambda _: forward)
    monkeypatch.setattr(probe, "names_of", lambda _: backward)
    found = asked(addresses={"h1": "192.0.2.11"})
    assert found == ([("names", *expected)] if expected else [])


def test_names_are_asked_of_the_host_itself() -> None:
    assert probe.addresses_of("localhost") == ["127.0.0.1"]
    assert "localhost" in probe.names_of("127.0.0.1")
    assert probe.addresses_of("no-such-host.invalid") == []


def test_a_user_who_may_not_become_root_is_named(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert asked() == [("root", "Fail", "runs as nobody")]


def test_a_port_that_a_stranger_holds_is_named_with_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        places = [("web", taken, "tcp"), ("time", datagrams, "udp")]
        listed = [{"name": name, "port": one.getsockname()[1], "protocol": way} for name, one, way in places]
        rows = list(probe.ports({"ports": listed}))
    program = Path("/proc/self/comm").read_text().strip()
    for (name, _, way), one, row in zip(
        places, listed, sorted(rows, key=lambda row: "udp" in row["found"]), strict=True
    ):
        assert row["result"] == "Fail"
        assert row["found"].startswith(f"{one['port']}/{way} ({name}) held by {program} (process {os.getpid()}, ")


@pytest.mark.parametrize(
    ("unit", "port", "is_ours"),
    [
        pytest.param("kafka.service", 9092, True, id="a unit that we wrote"),
        pytest.param("redpanda.service", 9092, False, id="a unit that somebody else wrote"),
        pytest.param("user-0.slice/session-3.scope", 9092, False, id="a program that was started by hand"),
        pytest.param("system-postgresql.slice/postgresql@17-databank.service", 5432, True, id="our PostgreSQL"),
        pytest.param("system-postgresql.slice/postgresql@17-main.service", 5432, False, id="another PostgreSQL"),
        pytest.param("ssh.service", 22, True, id="sshd on its port"),
        pytest.param("ssh.service", 9092, False, id="sshd on a port of ours"),
        pytest.param("chrony.service", 9092, True, id="a unit that we added to"),
        pytest.param("init.scope", 8360, True, id="systemd, for the profile API"),
        pytest.param("init.scope", 9092, False, id="systemd, for another"),
    ],
)
def test_a_port_may_be_held_by_a_unit_of_ours(host: Path, unit: str, port: int, is_ours: bool) -> None:
    listed = [{"name": name, "port": at} for name, at in NAMED.items()]
    write(host, "proc/net/tcp6", f"{TCP}   0: {'0' * 32}:{port:04X} {'0' * 32}:0000 0A 0:0 00:0 0 993 0 4711 1\n")
    write(host, "proc/815/comm", "holder\n")
    write(host, "proc/815/cgroup", f"9:name=systemd:/\n0::/system.slice/{unit}\n")
    write(host, "proc/815/fd/.", "")
    (host / "proc/815/fd/7").symlink_to("socket:[4711]")
    write(host, "etc/systemd/system/kafka.service", SERVICE)
    write(host, "etc/systemd/system/redpanda.service", "[Service]\nExecStart=/bin/true\n")
    write(host, "etc/systemd/system/chrony.service.d/databank.conf", "[Unit]\n")
    found = asked(ports=listed)
    if is_ours:
        assert found == []
    else:
        ((check, result, text),) = found
        assert (check, result) == ("ports", "Fail")
        assert text.startswith(f"{port}/tcp (")
        assert text.endswith(f"held by holder (process 815, {unit.rpartition('/')[2]})")


def test_a_port_inside_a_range_is_looked_at(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(host, "proc/net/tcp", f"{TCP}   0: 00000000:{7105:04X} 00000000:0000 0A 0:0 00:0 0 993 0 4711 1\n")
    ports = [{"name": "spark_drivers", "port": 7100, "last": 7131}]
    assert asked(ports=ports) == [("ports", "Fail", "7105/tcp (spark_drivers) held by what cannot be seen")]
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert [one[:2] for one in asked(ports=ports)] == [("root", "Fail"), ("ports", "Warn")]


def test_a_check_that_breaks_stops_no_other(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(host / "opt")
    write(host, "proc/sys/vm/swappiness", "many\n")
    write(host, "proc/swaps", "Filename\n/dev/vdb partition\n")
    write(host, "proc/77/comm", "bash\n")
    found = {check: text for check, _, text in asked()}
    assert list(found) == ["disk", "swap", "time daemon"]
    assert found["disk"].startswith("FileNotFoundError")


def test_the_script_runs_from_standard_input_and_prints_rows() -> None:
    text = (ROLE / "files" / "probe.py").read_text()
    request = json.dumps({**REQUEST, "addresses": {"localhost": "127.0.0.1"}})
    answer = subprocess.run(
        [sys.executable, "-I", "-", request], input=text, capture_output=True, text=True, check=True
    )
    rows = json.loads(answer.stdout)
    assert {"system", "memory", "disk /opt, /var/lib", "clock"} <= {one["check"] for one in rows}
    assert {tuple(one) for one in rows} == {("check", "result", "found", "wanted", "remedy")}


def test_the_role_asks_what_the_script_reads() -> None:
    told = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["preflight__check"]
    read = set(re.findall(r'request\["(\w+)"\]', (ROLE / "files" / "probe.py").read_text().replace("'", '"')))
    assert set(told) == read == set(REQUEST)


def test_the_table_is_aligned_and_counts_results() -> None:
    rows = [
        {"host": "h1", "check": "swap", "result": "Pass", "found": "off", "wanted": "off", "remedy": ""},
        {"host": "h2", "check": "memory", "result": "Fail", "found": "1 MB", "wanted": "2 MB", "remedy": "add " * 20},
    ]
    head, first, second, more, count = table.preflight_table(rows)
    assert head.split() == ["Host", "Check", "Result", "Found", "Wanted", "Remedy"]
    assert first == "h1    swap    Pass    off    off"
    assert second.index("add") == more.index("add") == head.index("Remedy")
    assert count == "1 Pass, 0 Warn, 1 Fail"
