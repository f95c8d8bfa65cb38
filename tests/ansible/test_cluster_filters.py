"""What `status` says, what stands in the way of `decommission`, and text without secrets."""

from __future__ import annotations

import base64

import pytest

from tests.ansible.loading import load

cluster_status = load("../playbooks/filter_plugins/cluster_status.py").cluster_status
decommission_problems = load("../playbooks/filter_plugins/decommission.py").decommission_problems
without_secrets = load("../playbooks/filter_plugins/without_secrets.py").without_secrets

HOSTS = ["h1", "h2", "h3", "h4"]
GROUPS = {"all": HOSTS, "kafka": HOSTS, "datanode": HOSTS, "namenode": ["h1"], "spark_worker": ["h4"]}


def test_status_names_what_does_not_survive_each_loss_and_what_goes_on() -> None:
    units = {"results": [{"item": "kafka", "stdout_lines": ["kafka.service loaded failed failed Kafka"]}]}
    hosts = [
        {"inventory_hostname": "h1", "status_units": units, "status_space": {"stdout_lines": ["Use%", " 7%"]}},
        {"inventory_hostname": "h2", "status_units": {"unreachable": True}},
        {"inventory_hostname": "h3", "status_units": {"results": [{"item": "trino", "stdout_lines": []}]}},
    ]
    history = {"version": "0.2.0", "previous": "0.1.0", "target": None, "is_finalised": False}
    said = "\n".join(cluster_status(hosts, GROUPS, history, HOSTS[:3]))
    assert "release 0.2.0, the way back to 0.1.0 is open" in said
    assert "h1              kafka failed; disk 7% full" in said
    assert "h2              does not answer" in said
    assert "h3              trino missing; disk ? full" in said
    assert "h1: HDFS: no job runs" in said
    assert "h2: nothing stands still; kafka and datanode go on with the replicas of the others" in said
    assert "h4: no job of Spark runs; kafka and datanode" in said


def test_two_brokers_outlive_no_loss() -> None:
    said = cluster_status([], {"all": ["a", "b"], "kafka": ["a", "b"]}, {}, ["a"])
    assert said[-2:] == ["  a: nothing is taken in", "  b: nothing is taken in"]


def test_what_began_with_one_controller_does_not_outlive_its_loss() -> None:
    groups = {"all": HOSTS[:3], "kafka": HOSTS[:3]}
    said = cluster_status([], groups, {}, ["h1"])[-3:]
    assert said[0] == "  h1: nothing is taken in"
    assert said[1].startswith("  h2: nothing stands still; kafka go")


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("h9", ["h9 is no host of the inventory (h1, h2, h3, h4)"]),
        (
            "h1",
            [
                "h1 is the host of namenode, and there is no other",
                "h1 is one of Kafka's 3 controllers, and a quorum of fewer outlives no loss",
            ],
        ),
        ("h4", ["h4 is the only worker of Spark"]),
    ],
)
def test_a_host_that_is_needed_does_not_go(host: str, said: list[str]) -> None:
    assert decommission_problems(GROUPS, host, ["h1", "h2", "h3"]) == said


def test_the_only_host_that_tells_profiles_stays_and_status_says_what_its_loss_means() -> None:
    groups = {"all": HOSTS, "profiles": ["h4"]}
    assert decommission_problems(groups, "h4", []) == ["h4 is the only host that tells profiles"]
    assert decommission_problems({**groups, "profiles": ["h3", "h4"]}, "h4", []) == []
    assert cluster_status([], groups, {}, [])[-1] == "  h4: no profile is told"
    assert cluster_status([], {**groups, "profiles": ["h3", "h4"]}, {}, [])[-1] == "  h4: nothing stands still"


def test_no_host_goes_where_replicas_would_be_lost() -> None:
    groups = {"all": HOSTS[:3], "kafka": HOSTS[:3], "datanode": HOSTS[:3]}
    assert decommission_problems(groups, "h3", ["h1"]) == [
        "messages have 3 replicas, and 2 hosts of kafka would be left",
        "blocks have 3 replicas, and 2 hosts of datanode would be left",
    ]


def test_secrets_are_named_where_they_stood_as_they_are_and_in_base64() -> None:
    secrets = {"long": "abcdef-12345", "short": "abcdef"}
    coded = base64.b64encode(b"abcdef").decode()
    assert without_secrets(f"x abcdef-12345 abcdef {coded} y", secrets) == "x [long] [short] [short] y"


def test_secrets_that_a_renewal_left_behind_and_passwords_in_addresses_are_taken_out_too() -> None:
    secrets, before = {"db": "newvalue"}, [{"db": "oldvalue"}, {"db": "oldest"}]
    text = "a=oldvalue b=oldest c=newvalue postgresql://airflow:neverseen@h2:5432/airflow https://h3:8443/a@b"
    wanted = "a=[db] b=[db] c=[db] postgresql://airflow:[password]@h2:5432/airflow https://h3:8443/a@b"
    assert without_secrets(text, secrets, before) == wanted
    assert without_secrets("p://u:newvalue@h", secrets) == "p://u:[db]@h"
