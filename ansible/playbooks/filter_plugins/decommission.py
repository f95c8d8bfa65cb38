"""Whether a host may be taken out: everything that speaks against it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

Groups = Mapping[str, Sequence[str]]

# Of these there is one host, and what it holds cannot move while it runs.
SINGLE = ("namenode", "postgres", "metastore", "spark_master", "trino_coordinator", "airflow", "serving", "monitoring")
REPLICAS = 3


def decommission_problems(groups: Groups, host: str, controllers: Sequence[str]) -> list[str]:
    """What stands in the way of taking `host` out; empty where nothing does."""
    if host not in groups["all"]:
        return [f"{host} is no host of the inventory ({', '.join(sorted(groups['all']))})"]
    return list(_problems(groups, host, controllers))


def _problems(groups: Groups, host: str, controllers: Sequence[str]) -> Iterator[str]:
    for name in SINGLE:
        if host in groups.get(name, ()):
            yield f"{host} is the host of {name.replace('_', ' ')}, and there is no other"
    if host in groups.get("kafka", ()) and host in controllers:
        yield f"{host} is one of Kafka's {len(controllers)} controllers, and a quorum of fewer outlives no loss"
    for name, what in (("kafka", "messages"), ("datanode", "blocks")):
        members = groups.get(name, ())
        wanted = min(REPLICAS, len(members))
        if host in members and len(members) - 1 < wanted:
            yield f"{what} have {wanted} replicas, and {len(members) - 1} hosts of {name} would be left"
    if list(groups.get("spark_worker", ())) == [host]:
        yield f"{host} is the only worker of Spark"
    if list(groups.get("profiles", ())) == [host]:
        yield f"{host} is the only host that tells profiles"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Filters by name."""
        return {"decommission_problems": decommission_problems}
