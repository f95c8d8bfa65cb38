"""What is wrong with an inventory: every problem at once, each with what was found, what is wanted and what to do."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from ipaddress import ip_network
from typing import Any
from zoneinfo import available_timezones

Groups = Mapping[str, Sequence[str]]
Variables = Mapping[str, Mapping[str, Any]]
Problem = dict[str, str]

# What of a component's memory is Java's heap or is given to executors: variables with their roles' defaults.
HEAPS: Mapping[str, Sequence[tuple[str, int]]] = {
    "kafka": [("kafka_heap_mb", 1024)],
    "namenode": [("hdfs_namenode_heap_mb", 1024)],
    "datanode": [("hdfs_datanode_heap_mb", 1024)],
    "metastore": [("hive_metastore_heap_mb", 1024)],
    "spark_master": [("spark_daemon_heap_mb", 512)],
    "spark_worker": [("spark_daemon_heap_mb", 512), ("spark_worker_memory_mb", 4096)],
    "trino_coordinator": [("trino_heap_mb", 3072)],
    "trino_worker": [("trino_heap_mb", 3072)],
    "serving": [("services_ingest_driver_memory_mb", 1024)],
}
AIRFLOW_MB = 1280  # its four programs, without what tasks start
PROFILES_MB, PROFILE_PROCESS_MB, LOADER_MB = (
    256,
    192,
    384,
)  # of the API itself and each process; of the loader beside --memory-mb
WHOLE = "inventory"  # stands where a problem is not one host's


def inventory_problems(groups: Groups, variables: Variables, kinds: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Every problem of the inventory; `variables` are those of each host.

    `kinds` of groups: `single` have one host at most, `needed` have one at least, `reserved` are of a later release.
    """
    hosts = {host: variables[host] for host in groups["all"]}
    found = [*_groups(groups, hosts, kinds["reserved"]), *_numbers(groups, kinds["single"]), *_addresses(hosts)]
    if missing := [group for group in kinds["needed"] if not groups.get(group)]:
        found.append(
            _problem(
                WHOLE,
                "groups",
                found=f"no host in {', '.join(missing)}",
                wanted="one host or more in each",
                remedy="Place them: the others need them.",
            )
        )
    for host, own in hosts.items():
        found += [*_overrides(host, own), *_memory(host, own), *_ports(host, own), *_open_ports(host, own)]
    found += _stream(groups, hosts)
    found += _workspaces(next(iter(hosts.values())).get("platform_workspaces", []))
    return found


def inventory_message(problems: Sequence[Problem]) -> str:
    """All problems in one text, a line each."""
    lines = [f"- {one['host']}: {one['found']}; wanted: {one['wanted']}. {one['remedy']}" for one in problems]
    return "\n".join([f"The inventory cannot be installed ({len(lines)} to correct); no host was touched.", *lines])


def inventory_away(own: Mapping[str, Any]) -> str:
    """What is said of a host that did not answer."""
    said = " ".join(str(own.get("inventory_rules_answer", {}).get("msg", "no answer")).split())
    return f"{own['inventory_hostname']} cannot be reached as root over SSH at {own.get('ansible_host')}: {said}"


def _problem(host: str, check: str, *, found: str, wanted: str, remedy: str) -> Problem:
    return {"host": host, "check": check, "result": "Fail", "found": found, "wanted": wanted, "remedy": remedy}


def _groups(groups: Groups, hosts: Variables, reserved: Sequence[str]) -> Iterator[Problem]:
    sizing = next(iter(hosts.values()))["databank_sizing"]
    known = sorted({one["group"] for one in sizing} | set(reserved))
    for group in sorted(set(groups) - {*known, "all", "ungrouped"}):
        remedy = "Correct its name or remove it."
        yield _problem(
            WHOLE, "groups", found=f"unknown group {group}", wanted=f"groups of {', '.join(known)}", remedy=remedy
        )
    for host in groups.get("ungrouped", ()):
        remedy = "Put it into the groups of what it shall run, or remove it."
        yield _problem(host, "groups", found="in no group", wanted="one group or more", remedy=remedy)


def _numbers(groups: Groups, single: Sequence[str]) -> Iterator[Problem]:
    brokers = len(groups.get("kafka", ()))
    if brokers == 2:
        remedy = "Add a host to kafka or take one out: two survive the loss of no more hosts than one."
        wanted = "1 host, or 3 and more"
        yield _problem(WHOLE, "kafka", found=f"kafka has {brokers} hosts", wanted=wanted, remedy=remedy)
    for group in single:
        hosts = groups.get(group, ())
        if len(hosts) > 1:
            found = f"{group} has {len(hosts)} hosts ({', '.join(hosts)})"
            yield _problem(WHOLE, group, found=found, wanted="1 host", remedy="Leave it on one of them.")


def _addresses(hosts: Variables) -> Iterator[Problem]:
    owners: dict[str, list[str]] = defaultdict(list)
    for host, own in hosts.items():
        owners[own.get("ansible_host", host)].append(host)
    for address, names in owners.items():
        if len(names) > 1:
            found = f"{', '.join(names)} have the address {address}"
            remedy = "Correct ansible_host of all but one."
            yield _problem(WHOLE, "addresses", found=found, wanted="an address of its own for each host", remedy=remedy)


def _overrides(host: str, own: Mapping[str, Any]) -> Iterator[Problem]:
    known = {one["name"] for one in own["databank_sizing"]}
    for name in sorted(set(own.get("databank_memory_mb", {})) - known):
        found = f"databank_memory_mb names {name}"
        wanted = f"components of {', '.join(sorted(known))}"
        yield _problem(host, "memory", found=found, wanted=wanted, remedy="Correct the name or remove it.")


def _memory(host: str, own: Mapping[str, Any]) -> Iterator[Problem]:
    given = own.get("databank_memory_mb", {})
    needs = {
        one["name"]: int(given.get(one["name"], one["memory_mb"]))
        for one in own["databank_sizing"]
        if one["group"] in own["group_names"]
    }
    yield from _heaps(host, own, needs)
    yield from _drivers(host, own, needs)
    yield from _profiles(host, own, needs)
    if int(own.get("platform_executor_memory_mb", 0)) > int(own.get("spark_worker_memory_mb", 4096)):
        found = f"platform_executor_memory_mb is {own['platform_executor_memory_mb']}"
        wanted = (
            f"at most the {own.get('spark_worker_memory_mb', 4096)} MB that a worker gives (spark_worker_memory_mb)"
        )
        remedy = (
            "Lower the first or raise the second: no worker could give such an executor, and jobs would wait for it."
        )
        yield _problem(host, "memory", found=found, wanted=wanted, remedy=remedy)
    has = int(own.get("host_memory_mb", sum(needs.values())))
    if sum(needs.values()) > has:
        wanted = f"{sum(needs.values())} MB for {', '.join(f'{name} {need}' for name, need in needs.items())}"
        remedy = "Place components on other hosts, give it more memory, or lower databank_memory_mb."
        yield _problem(host, "memory", found=f"host_memory_mb is {has}", wanted=wanted, remedy=remedy)


def _heaps(host: str, own: Mapping[str, Any], memory_mb: Mapping[str, int]) -> Iterator[Problem]:
    """An eighth beside the heap is the least that a JVM takes for classes, threads and buffers."""
    for name, heaps in HEAPS.items():
        least = sum(int(own.get(variable, default)) for variable, default in heaps) * 9 // 8
        if name in memory_mb and least > memory_mb[name]:
            given = ", ".join(f"{variable} {own.get(variable, default)}" for variable, default in heaps)
            found = f"{name} has {memory_mb[name]} MB for {given}"
            remedy = f"Raise databank_memory_mb of {name}, or lower what stands in it."
            yield _problem(host, "memory", found=found, wanted=f"{least} MB: an eighth more than these", remedy=remedy)


def _drivers(host: str, own: Mapping[str, Any], memory_mb: Mapping[str, int]) -> Iterator[Problem]:
    """Airflow's tasks start Spark on Airflow's own host: as many drivers at a time as its pool has slots."""
    slots, driver_mb = int(own.get("airflow_spark_slots", 2)), int(own.get("platform_driver_memory_mb", 2048))
    least = AIRFLOW_MB + slots * driver_mb * 9 // 8
    if "airflow" in memory_mb and least > memory_mb["airflow"]:
        found = f"airflow has {memory_mb['airflow']} MB for airflow_spark_slots {slots}"
        wanted = f"{least} MB: {AIRFLOW_MB} for itself, and {slots} drivers of platform_driver_memory_mb {driver_mb}"
        remedy = "Raise databank_memory_mb of airflow, or lower airflow_spark_slots."
        yield _problem(host, "memory", found=found, wanted=wanted, remedy=remedy)


def _profiles(host: str, own: Mapping[str, Any], memory_mb: Mapping[str, int]) -> Iterator[Problem]:
    """The loader may take what the API leaves: systemd ends it where it takes more."""
    processes, load_mb = int(own.get("profiles_processes", 2)), int(own.get("profiles_load_memory_mb", 512))
    least = PROFILES_MB + processes * PROFILE_PROCESS_MB + LOADER_MB + load_mb
    if "profiles" in memory_mb and least > memory_mb["profiles"]:
        found = f"profiles has {memory_mb['profiles']} MB"
        wanted = f"{least} MB for profiles_processes {processes} and profiles_load_memory_mb {load_mb}"
        remedy = "Raise databank_memory_mb of profiles, or lower one of them."
        yield _problem(host, "memory", found=found, wanted=wanted, remedy=remedy)


def _stream(groups: Groups, hosts: Variables) -> Iterator[Problem]:
    """The stream holds executors all the time: beside them a worker must have room for another job's, or none runs."""
    workers = [hosts[host] for host in groups.get("spark_worker", ())]
    if not workers or not groups.get("serving"):
        return
    given = workers[0]
    executors, needs = (
        int(given.get("services_ingest_cores", 1)),
        int(given.get("services_ingest_executor_memory_mb", 1024)),
    )
    on_one = executors // len(workers)  # they are spread: this many on the worker that has the fewest
    job_mb = int(given.get("platform_executor_memory_mb", 2048))
    room = max(int(own.get("spark_worker_memory_mb", 4096)) for own in workers) - on_one * needs
    cores = max(int(own.get("spark_worker_cores", 1_000)) for own in workers) - on_one
    if room < job_mb or cores < int(given.get("platform_executor_cores", 1)):
        found = f"beside the stream's {executors} executors a worker has {room} MB and {cores} cores left"
        wanted = f"{job_mb} MB and {given.get('platform_executor_cores', 1)} cores for another job's executor"
        remedy = "Raise spark_worker_memory_mb or spark_worker_cores, or lower services_ingest_cores."
        yield _problem(WHOLE, "serving", found=found, wanted=wanted, remedy=remedy)


def _ports(host: str, own: Mapping[str, Any]) -> Iterator[Problem]:
    owners: dict[tuple[str, int], list[str]] = defaultdict(list)
    for one in own["databank_ports_here"]:
        if one["group"] in {"all", *own["group_names"]}:
            for port in range(int(one["port"]), int(one.get("last", one["port"])) + 1):
                names = owners[one.get("protocol", "tcp"), port]
                if one["name"] not in names:  # one service may be there for two groups
                    names.append(one["name"])
    said = set()
    for (protocol, port), names in owners.items():
        if len(names) > 1 and (*names,) not in said:
            said.add((*names,))  # ranges overlap in many ports; the first of them is enough
            found = f"port {port}/{protocol} is that of {' and '.join(names)}"
            remedy = "Place them on different hosts, or change one in playbooks/group_vars/all/ports.yml."
            yield _problem(host, "ports", found=found, wanted="one service for a port", remedy=remedy)


def _open_ports(host: str, own: Mapping[str, Any]) -> Iterator[Problem]:
    port = "a number from 1 to 65535, or {port, from} with an address or network"
    for name, wanted, is_sound in (
        ("base_open_ports", port, _is_open_port),
        ("profiles_clients", "an address or network", _is_network),
    ):
        given = own.get(name, [])
        for one in given if isinstance(given, list) else [given]:
            if not is_sound(one):
                remedy = "Correct it: the firewall closes every port that nothing opens."
                yield _problem(host, "ports", found=f"{name} has {one}", wanted=wanted, remedy=remedy)


def _is_network(one: object) -> bool:
    try:
        ip_network(str(one))
    except ValueError:
        return False
    return True


def _is_open_port(one: object) -> bool:
    given = one if isinstance(one, Mapping) else {"port": one}
    if not _is_network(given.get("from", "0.0.0.0/0")):
        return False
    try:
        is_port = 1 <= int(str(given.get("port"))) <= 65535
    except ValueError:
        return False
    return is_port and set(given) <= {"port", "from"}


def _workspaces(workspaces: object) -> Iterator[Problem]:
    wanted = "name (a-z, 0-9, _), zone (as in the tz database) and history_complete_since (a date)"
    for number, one in enumerate(workspaces if isinstance(workspaces, list) else [workspaces], start=1):
        given = one if isinstance(one, Mapping) else {}
        wrong = [key for key in ("name", "zone", "history_complete_since") if not _is_sound(key, given.get(key))]
        if wrong:
            found = f"platform_workspaces, {number}: {', '.join(f'{key} is {given.get(key)}' for key in wrong)}"
            yield _problem(WHOLE, "variables", found=found, wanted=wanted, remedy="Give what is missing.")


def _is_sound(key: str, value: object) -> bool:
    text = str(value)
    if key == "zone":
        return text in available_timezones()
    if key == "name":
        return isinstance(value, str) and re.fullmatch("[a-z][a-z0-9_]*", value) is not None
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "inventory_problems": inventory_problems,
            "inventory_message": inventory_message,
            "inventory_away": inventory_away,
        }
