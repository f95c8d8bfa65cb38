"""Which replicas move to which broker: as few as possible, for a broker that comes and for one that goes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Partition = tuple[str, int]
_LINE = re.compile(r"Topic: (\S+)\s+Partition: (\d+)\s.*?Replicas: ([\d,]+)")


def kafka_plan(described: str, brokers: Sequence[int], leaving: Sequence[int] = ()) -> dict[str, Any]:
    """A reassignment as Kafka's tool reads it, of the output of `--describe`; only partitions that change are in it.

    Every replica on a broker that is `leaving` goes to the one with the fewest; then replicas go from the broker with
    the most to the one with the fewest until they differ by one at most. A leader goes where leaders are uneven.
    """
    found = {
        (topic, int(number)): [int(one) for one in ids.split(",")] for topic, number, ids in _LINE.findall(described)
    }
    staying = [broker for broker in brokers if broker not in leaving]
    planned = {partition: list(replicas) for partition, replicas in found.items()}
    for replicas in planned.values():
        for place, broker in enumerate(replicas):
            if broker not in staying:
                replicas[place] = _emptiest(planned, staying, without=replicas)
    while move := _next_move(planned, staying):
        partition, place, target = move
        planned[partition][place] = target
    changed = {partition: replicas for partition, replicas in planned.items() if replicas != found[partition]}
    return {
        "version": 1,
        "partitions": [
            {"topic": topic, "partition": number, "replicas": replicas}
            for (topic, number), replicas in sorted(changed.items())
        ],
    }


def _loads(planned: Mapping[Partition, Sequence[int]]) -> Counter[int]:
    return Counter(broker for replicas in planned.values() for broker in replicas)


def _emptiest(planned: Mapping[Partition, Sequence[int]], staying: Sequence[int], *, without: Sequence[int]) -> int:
    loads = _loads(planned)
    return min((broker for broker in staying if broker not in without), key=lambda broker: (loads[broker], broker))


def _next_move(planned: Mapping[Partition, Sequence[int]], staying: Sequence[int]) -> tuple[Partition, int, int] | None:
    """The move that evens the fullest and the emptiest broker; None where they differ by one at most."""
    loads, leaders = _loads(planned), Counter(replicas[0] for replicas in planned.values())
    full = max(staying, key=lambda broker: (loads[broker], broker))
    empty = min(staying, key=lambda broker: (loads[broker], broker))
    if loads[full] - loads[empty] <= 1:
        return None
    wants_leader = leaders[full] - leaders[empty] > 1
    candidates = [
        (partition, replicas.index(full))
        for partition, replicas in sorted(planned.items())
        if full in replicas and empty not in replicas
    ]
    if not candidates:
        return None
    partition, place = min(candidates, key=lambda one: (one[1] == 0) is not wants_leader)
    return partition, place, empty


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """The filter by name."""
        return {"kafka_plan": kafka_plan}
