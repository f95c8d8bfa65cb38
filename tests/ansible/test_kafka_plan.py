"""Which replicas move: as few as possible, none to a broker that goes, all brokers about equally full."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.ansible.loading import load

kafka_plan = load("kafka/filter_plugins/kafka_plan.py").kafka_plan
Partitions = dict[tuple[str, int], list[int]]


def described(partitions: Partitions) -> str:
    lines = [f"Topic: {topic}\tTopicId: x\tPartitionCount: 1\tConfigs: a=1" for topic, _ in partitions]
    for (topic, number), replicas in partitions.items():
        ids = ",".join(map(str, replicas))
        lines.append(
            f"\tTopic: {topic}\tPartition: {number}\tLeader: {replicas[0]}\tReplicas: {ids}\tIsr: {ids}\tElr: "
        )
    return "\n".join(lines)


def after(
    partitions: dict[tuple[str, int], list[int]], plan: dict[str, list[dict[str, object]]]
) -> dict[tuple[str, int], list[int]]:
    moved = {(one["topic"], one["partition"]): one["replicas"] for one in plan["partitions"]}
    return {**partitions, **moved}  # type: ignore[dict-item]


def test_a_broker_that_goes_hands_each_replica_to_the_emptiest_other() -> None:
    now = {("a", 0): [1, 2, 3], ("a", 1): [2, 3, 4], ("a", 2): [3, 4, 1]}
    plan = kafka_plan(described(now), [1, 2, 3, 4], [4])
    assert plan["partitions"] == [
        {"topic": "a", "partition": 1, "replicas": [2, 3, 1]},
        {"topic": "a", "partition": 2, "replicas": [3, 2, 1]},
    ]


def test_a_plan_for_a_cluster_in_balance_is_empty() -> None:
    now = {("a", 0): [1, 2, 3], ("a", 1): [2, 3, 1]}
    assert kafka_plan(described(now), [1, 2, 3]) == {"version": 1, "partitions": []}


@given(
    st.lists(st.permutations([1, 2, 3]).map(lambda ids: ids[:3]), min_size=1, max_size=30),
    st.integers(min_value=0, max_value=3),
)
def test_new_brokers_get_their_share_and_nothing_else_moves(replicas: list[list[int]], new: int) -> None:
    now = {("a", number): list(ids) for number, ids in enumerate(replicas)}
    brokers = [1, 2, 3, *range(4, 4 + new)]
    then = after(now, kafka_plan(described(now), brokers))
    loads = Counter(broker for ids in then.values() for broker in ids)
    assert all(len(set(ids)) == 3 for ids in then.values())
    assert max(loads.values()) - min(loads[broker] for broker in brokers) <= 1
    moved = sum(len(set(then[key]) - set(now[key])) for key in now)
    assert moved == sum(loads[broker] for broker in brokers[3:])
    back = after(then, kafka_plan(described(then), brokers, brokers[3:]))
    assert {broker for ids in back.values() for broker in ids} <= {1, 2, 3}
