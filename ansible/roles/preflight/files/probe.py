"""Could this host run what is placed on it? Looks and changes nothing; the standard library alone, any Python from 3.9.

Run as `python3 - REQUEST`; REQUEST is a JSON object (vars/main.yml), and what is printed a JSON list of rows.
"""

from __future__ import annotations

import json
import os
import platform
import pwd
import re
import shutil
import socket
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Request = Mapping[str, Any]
Row = dict[str, str]
Place = tuple[str, int]  # protocol and port

ROOT = Path("/")
CLOCK_FAIL_S, CLOCK_WARN_S = 1.0, 0.2
FILES_WANTED, FILES_LEAST = 100_000, 10_000  # the most that a unit asks for; with fewer than the least, brokers fail
TIME_DAEMONS = {"chronyd", "systemd-timesyn", "ntpd"}  # as the kernel cuts their names
# Units that may hold a port before Databank comes.
MAY_HOLD = {
    "ssh": {"ssh.service", "sshd.service", "ssh.socket", "init.scope"},
    "profiles": {"init.scope"},  # systemd holds it for the service
    "time": {"chrony.service", "chronyd.service"},
}


def row(check: str, found: str, wanted: str, remedy: str, *, is_good: bool, is_tolerable: bool = False) -> Row:
    """One line of the table: Pass, Warn where it can be lived with, or Fail."""
    result = "Pass" if is_good else "Warn" if is_tolerable else "Fail"
    needed = "" if is_good else remedy
    return {"check": check, "result": result, "found": found, "wanted": wanted, "remedy": needed}


def read(path: str) -> str:
    """A file of the host; empty where there is none, or none for us."""
    try:
        return (ROOT / path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def system(request: Request) -> Iterator[Row]:
    """Debian of the release's target, for its machine, with its Python and systemd."""
    lines = (line.partition("=") for line in read("etc/os-release").splitlines())
    about = {name: value.strip('"') for name, _, value in lines}
    found = f"{about.get('ID', 'unknown')} {about.get('VERSION_ID', '?')}, {platform.machine()}"
    wanted = f"debian {request['debian']}, {request['machine']}"
    yield row("system", found, wanted, f"Install Debian {request['debian']} on it", is_good=found == wanted)
    found = ".".join(map(str, sys.version_info[:2]))
    wanted = request["python"]
    yield row("python3", found, wanted, "Let python3 be Debian's own again", is_good=found == wanted)
    has_systemd = (ROOT / "run/systemd/system").is_dir()
    yield row("systemd", read("proc/1/comm").strip(), "systemd", "Boot it with systemd", is_good=has_systemd)


def root(_: Request) -> Iterator[Row]:
    """Whether the inventory's user may become root."""
    user = os.geteuid()
    found = f"runs as {pwd.getpwuid(user).pw_name}"
    remedy = "Let ansible_user run sudo without a password, or keep ansible_become_password in a vault"
    yield row("root", found, "runs as root", remedy, is_good=user == 0)


def cpus(request: Request) -> Iterator[Row]:
    """Too few make it slow, but it runs: a warning."""
    has = float(len(os.sched_getaffinity(0)))
    quota, _, period = read("sys/fs/cgroup/cpu.max").strip().partition(" ")
    if quota.isdecimal():
        has = min(has, int(quota) / int(period))
    wanted = sum(float(one["cpus"]) for one in request["components"])
    remedy = "Add CPUs, or place components on other hosts"
    yield row("cpus", f"{has:g}", f"{wanted:g}", remedy, is_good=has >= wanted, is_tolerable=True)


def memory(request: Request) -> Iterator[Row]:
    """The least of what the machine has, its control groups allow and the inventory says."""
    total = re.search(r"MemTotal:\s+(\d+) kB", read("proc/meminfo"))
    limits = {"MemTotal": int(total[1]) // 1024 if total else 0}
    # Services run in system.slice; the last is where control groups are of the first version.
    for path in ("memory.max", "system.slice/memory.max", "memory/memory.limit_in_bytes"):
        limit = read(f"sys/fs/cgroup/{path}").strip()
        if limit.isdecimal():
            limits[f"cgroup {path}"] = int(limit) >> 20
    if request["host_memory_mb"] is not None:
        limits["host_memory_mb"] = int(request["host_memory_mb"])
    source, has = min(limits.items(), key=lambda one: one[1])
    given = request["memory_mb_of"]
    needs = {one["name"]: int(given.get(one["name"], one["memory_mb"])) for one in request["components"]}
    wanted = sum(needs.values())
    parts = ", ".join(f"{name} {need}" for name, need in needs.items()) or "nothing is placed here"
    remedy = "Add memory, place components on other hosts, or lower databank_memory_mb"
    yield row("memory", f"{has} MB ({source})", f"{wanted} MB ({parts})", remedy, is_good=has >= wanted)


def disk(request: Request) -> Iterator[Row]:
    """Free space for all that comes to lie on a file system; where Databank is installed, the size of it."""
    data_gb = sum(float(one["disk_gb"]) for one in request["components"])
    needs = {"opt": float(request["programs_gb"]), "var/lib": data_gb}
    together: dict[int, list[str]] = defaultdict(list)
    for folder in needs:
        together[(ROOT / folder).stat().st_dev].append(folder)
    is_installed = bool(our_units())  # then our own data fill it: what is free says nothing of what was there
    for folders in together.values():
        space = shutil.disk_usage(ROOT / folders[0])
        wanted = sum(needs[folder] for folder in folders)
        is_enough = (space.total if is_installed else space.free) >= wanted * 2**30
        is_filling = is_installed and space.free < space.total / 10
        yield row(
            f"disk /{', /'.join(folders)}",
            f"{space.free / 2**30:.1f} GB free of {space.total / 2**30:.1f} GB",
            f"{wanted:g} GB in all, a tenth of it free" if is_installed else f"{wanted:g} GB free",
            "Enlarge it, remove what is not ours, or place components on other hosts",
            is_good=is_enough and not is_filling,
            is_tolerable=is_enough,
        )


def our_units() -> set[str]:
    """Units that Databank wrote or added to."""
    folder = ROOT / "etc/systemd/system"
    written = {path.name for path in folder.glob("*.service") if "by Databank" in read(f"{path.relative_to(ROOT)}")}
    return written | {path.parent.name[: -len(".d")] for path in folder.glob("*.service.d/databank.conf")}


def listeners() -> dict[Place, set[str]]:
    """What is listened on, with the inodes of its sockets."""
    found: dict[Place, set[str]] = defaultdict(set)
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for fields in map(str.split, read(f"proc/net/{table}").splitlines()[1:]):
            if fields[3] == state:
                found[table[:3], int(fields[1].rpartition(":")[2], 16)].add(fields[9])
    return found


def owners_of(inodes: Iterable[str]) -> set[int]:
    """Processes that hold these sockets; another user's are seen by root alone."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = set()
    for link in ROOT.glob("proc/[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in wanted:
                found.add(int(link.parts[-3]))
        except OSError:  # it ended in the meantime, or is not for us to see
            continue
    return found


def unit_of(process: int) -> str:
    """The unit that a process runs in: the last part of its control group's path."""
    paths = [line.rpartition("/")[2] for line in read(f"proc/{process}/cgroup").splitlines()]
    return next((name for name in paths if name.endswith((".service", ".scope", ".socket"))), "no unit")


def ports(request: Request) -> Iterator[Row]:
    """Each port is free, or held by a unit of ours."""
    listened, ours, foreign = listeners(), our_units(), 0
    places = {
        (one.get("protocol", "tcp"), port): one["name"]
        for one in request["ports"]
        for port in range(int(one["port"]), int(one.get("last", one["port"])) + 1)
    }
    held, wanted = sorted(places.keys() & listened.keys()), "free, or held by ours"
    for protocol, port in held:
        name = places[protocol, port]
        for process in sorted(owners_of(listened[protocol, port]) or {0}):
            unit = unit_of(process)
            # PostgreSQL's unit is Debian's own, with our name in its instance.
            if unit in ours | MAY_HOLD.get(name, set()) or unit.endswith("-databank.service"):
                continue
            foreign += 1
            holder = f"{read(f'proc/{process}/comm').strip()} (process {process}, {unit})"
            found = f"{port}/{protocol} ({name}) held by {holder if process else 'what cannot be seen'}"
            # Only root sees what other users' processes hold; a user who may not become root is a row of its own.
            is_hidden = not process and os.geteuid() != 0
            remedy = "Stop what holds it, or let it listen elsewhere"
            yield row("ports", found, wanted, remedy, is_good=False, is_tolerable=is_hidden)
    if not foreign:
        found = f"{len(places) - len(held)} free, {len(held)} held by ours or sshd"
        yield row("ports", found, wanted, "", is_good=True)


def clock(request: Request) -> Iterator[Row]:
    """How far it is off at least, and who keeps the time."""
    offset, error = request["clock"]["offset_s"], request["clock"]["error_s"]
    wanted = f"within {CLOCK_WARN_S} s of the control node"
    if offset is None:
        yield row("clock", "not measured", wanted, "See why `date +%s.%N` gives no answer over SSH", is_good=False)
    else:
        found = f"{abs(offset):.3f} s {'ahead' if offset > 0 else 'behind'} (error at most {error:.3f} s)"
        remedy = "Set base_time_servers, or set the clock of the host or of the control node"
        least = abs(offset) - error
        yield row("clock", found, wanted, remedy, is_good=least <= CLOCK_WARN_S, is_tolerable=least <= CLOCK_FAIL_S)
    running = TIME_DAEMONS & {read(f"{path.relative_to(ROOT)}").strip() for path in ROOT.glob("proc/[0-9]*/comm")}
    # A clock that is the machine's below is kept there, and chrony only watches it.
    is_promised = bool(request["time_servers"]) or request["clock_is_foreign"]
    found, wanted = ", ".join(sorted(running)) or "none runs", "chronyd, systemd-timesyncd or ntpd"
    remedy = "Nothing: chrony comes with the installation" if is_promised else "Set base_time_servers, or run one"
    yield row("time daemon", found, wanted, remedy, is_good=bool(running), is_tolerable=is_promised)


def names(request: Request) -> Iterator[Row]:
    """Each host's name leads to its address, and the address back to the name."""
    addresses: Mapping[str, str] = request["addresses"]
    with ThreadPoolExecutor(32) as pool:  # a name server that is silent costs seconds for each
        asked = {name: (pool.submit(addresses_of, name), pool.submit(names_of, addresses[name])) for name in addresses}
    bad = 0
    for name, address in addresses.items():
        forward, back = (answer.result() for answer in asked[name])
        leads_back = any(one == name or one.startswith(f"{name}.") for one in back)
        if forward == [address] and leads_back:
            continue
        bad += 1
        found = f"{name} is {', '.join(forward) or 'unknown'}"
        if forward == [address]:
            found = f"{address} is {', '.join(back) or 'unknown'}"
        wanted, remedy = f"{name} is {address}, both ways", "Correct it in the name server or in /etc/hosts"
        yield row("names", found, wanted, remedy, is_good=False, is_tolerable=forward == [address])
    if not bad:
        yield row("names", f"{len(addresses)} names and their addresses", "names lead both ways", "", is_good=True)


def addresses_of(name: str) -> list[str]:
    """Addresses that a name has on this host."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(name, None, socket.AF_INET)})
    except OSError:
        return []


def names_of(address: str) -> list[str]:
    """Names that an address has on this host."""
    try:
        name, others, _ = socket.gethostbyaddr(address)
    except OSError:
        return []
    return [name, *others]


def mounts(_: Request) -> Iterator[Row]:
    """Programs are started from /opt, and Java loads libraries from /tmp."""
    bad = []
    for folder in ("tmp", "opt", "var/lib"):
        flags = os.statvfs(ROOT / folder).f_flag
        bad += [f"/{folder} is read-only"] if flags & os.ST_RDONLY else []
        bad += [f"/{folder} is noexec"] if flags & os.ST_NOEXEC and folder != "var/lib" else []
    found, wanted = ", ".join(bad) or "no such option", "no noexec on /tmp and /opt, no read-only"
    yield row(
        "mounts", found, wanted, "Remove the option in /etc/fstab or tmp.mount, and mount it anew", is_good=not bad
    )


def files(_: Request) -> Iterator[Row]:
    """The first process's limit is the most that a unit gets."""
    limit = re.search(r"Max open files\s+\S+\s+(\S+)", read("proc/1/limits"))
    has = int(limit[1]) if limit and limit[1].isdecimal() else 0
    remedy = "Raise fs.nr_open, DefaultLimitNOFILE in /etc/systemd/system.conf, or the container's limit"
    is_good, is_tolerable = has >= FILES_WANTED, has >= FILES_LEAST
    yield row("open files", f"{has}", f"{FILES_WANTED}", remedy, is_good=is_good, is_tolerable=is_tolerable)


def swap(_: Request) -> Iterator[Row]:
    """A JVM that was swapped out stops for seconds, and is taken for dead."""
    areas = read("proc/swaps").splitlines()[1:]
    swappiness = int(read("proc/sys/vm/swappiness") or 60)
    found = f"on, vm.swappiness is {swappiness}" if areas else "off"
    remedy, is_good = "Turn swap off, or set vm.swappiness to 10", not areas or swappiness <= 10
    yield row("swap", found, "off, or vm.swappiness at most 10", remedy, is_good=is_good, is_tolerable=True)


CHECKS = (system, root, cpus, memory, disk, mounts, files, swap, ports, names, clock)


def check(request: Request) -> list[Row]:
    """The rows of all checks; one that breaks stops no other."""
    rows: list[Row] = []
    for one in CHECKS:
        try:
            rows += one(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks are worth having
            found = f"{type(error).__name__}: {error}"
            rows.append(row(one.__name__, found, "an answer", "Look at it by hand", is_good=False))
    return rows


if __name__ == "__main__":
    sys.stdout.write(json.dumps(check(json.loads(sys.argv[1]))) + "\n")
