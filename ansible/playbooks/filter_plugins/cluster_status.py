"""What `status` prints: what runs where, and what the loss of each host would mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Groups = Mapping[str, Sequence[str]]

# What stands still with a group of which there is one host only, as long as that host is away.
SINGLE = {
    "namenode": "HDFS: no job runs and Trino answers nothing about the lake (a second NameNode: later release)",
    "postgres": "ledger, metastore, Airflow and profiles: nothing starts, Trino finds no table, no profile is told",
    "metastore": "Trino finds no table; jobs of Spark go on",
    "spark_master": "no job of Spark starts; those that run go on",
    "trino_coordinator": "no SQL",
    "airflow": "nothing starts by itself; verbs and SQL go on",
    "profiles": "no profile is told",
    "kafka": "nothing is taken in",
    "datanode": "HDFS has no blocks",
    "spark_worker": "no job of Spark runs",
}
# Replicas of messages and of blocks: with this many hosts one may go.
ENOUGH = 3


def cluster_status(
    hosts: Iterable[Mapping[str, Any]], groups: Groups, history: Mapping[str, Any], controllers: Sequence[str]
) -> list[str]:
    """Lines: the release, each host's units and full disks, then what does not survive the loss of which host."""
    release = history.get("version", "nothing is known to be installed")
    way = "" if history.get("is_finalised", True) else f", the way back to {history['previous']} is open"
    going = f", a change to {history['target']} broke off" if history.get("target") else ""
    lines = [f"release {release}{way}{going}", ""]
    for host in hosts:
        lines += _host(host)
    return [*lines, "", "Loss of one host:", *(f"  {line}" for line in losses(groups, controllers))]


def losses(groups: Groups, controllers: Sequence[str]) -> Iterator[str]:
    """One line for each host: what stands still without it, and what goes on.

    `controllers` are Kafka's; brokers that joined later are none, so a cluster that began with one keeps one.
    """
    for host in sorted(groups["all"]):
        own = {name for name, members in groups.items() if host in members}
        stands = [text for name, text in SINGLE.items() if name in own and len(groups[name]) == 1]
        takes_in_without = len(groups.get("kafka", ())) >= ENOUGH and (
            len(controllers) >= ENOUGH or host not in controllers
        )
        if "kafka" in own and len(groups["kafka"]) > 1 and not takes_in_without:
            stands.append(SINGLE["kafka"])
        goes_on = [name for name in ("kafka", "datanode") if name in own and len(groups[name]) >= ENOUGH]
        goes_on = [name for name in goes_on if name != "kafka" or takes_in_without]
        kept = f"; {' and '.join(goes_on)} go on with the replicas of the others" if goes_on else ""
        yield f"{host}: {'. '.join(stands) or 'nothing stands still'}{kept}"


def _host(host: Mapping[str, Any]) -> list[str]:
    name, asked = host["inventory_hostname"], host.get("status_units", {})
    if asked.get("unreachable") or "results" not in asked:
        return [f"{name:<16}does not answer"]
    found = [line.split()[:4] for one in asked["results"] for line in one.get("stdout_lines", [])]
    units = [
        f"{unit.removesuffix('.service')} {active if active != 'active' else state}" for unit, _, active, state in found
    ]
    missing = [one["item"] for one in asked["results"] if not one.get("stdout_lines")]
    space = (host.get("status_space", {}).get("stdout_lines") or ["?"])[-1].strip()
    return [
        f"{name:<16}{', '.join([*units, *(f'{unit} missing' for unit in missing)]) or 'nothing'}; disk {space} full"
    ]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Filters by name."""
        return {"cluster_status": cluster_status}
