"""The command line: verbs, areas, what is passed on, how mistakes end."""

from __future__ import annotations

import pytest

from services.cli.arguments import TIERS, Wanted, parse
from services.testing.runner import FOLDERS


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        pytest.param(["demo"], Wanted("demo", ("services", "demo")), id="demo"),
        pytest.param(
            ["demo", "--sample", "10", "--help"],
            Wanted("demo", ("services", "demo"), ("--sample", "10", "--help")),
            id="the demo's own arguments",
        ),
        pytest.param(
            ["migration", "copy", "--chunk", "3"],
            Wanted("migration", ("migration",), ("copy", "--chunk", "3")),
            id="area",
        ),
        pytest.param(
            ["identity", "run", "--settings", "x"],
            Wanted("identity", ("spark_jobs", "identity"), ("--settings", "x")),
            id="an area's verb is a job",
        ),
        pytest.param(
            ["tags", "check", "--json"],
            Wanted("tags", ("spark_jobs", "tags-check"), ("--json",)),
            id="another verb of an area is another job",
        ),
        pytest.param(
            ["audience", "count", "a & b - c", "--workspace", "w"],
            Wanted("audience", ("services", "audiences"), ("a & b - c", "--workspace", "w")),
            id="an area's verb is a service",
        ),
        pytest.param(
            ["triggers", "send", "--json"],
            Wanted("triggers", ("spark_jobs", "triggers-send"), ("--json",)),
            id="what triggers are sent by",
        ),
        pytest.param(
            ["upkeep", "erase", "--run", "--json"],
            Wanted("upkeep", ("spark_jobs", "erase"), ("--run", "--json")),
            id="what takes persons out",
        ),
        pytest.param(
            ["profiles", "key", "list"],
            Wanted("profiles", ("services", "profiles"), ("key", "list")),
            id="an area whose process has verbs of its own",
        ),
        pytest.param(["test"], Wanted("test"), id="all tiers"),
        pytest.param(["test", "unit", "spark"], Wanted("test", tiers=("unit", "spark")), id="two tiers"),
        pytest.param(["test", "--within", "55"], Wanted("test", within=55), id="for a time"),
        pytest.param(["test", "--campaign", "--fresh"], Wanted("test", campaign=True, fresh=True), id="campaign"),
        pytest.param(["status", "--json"], Wanted("status", json=True), id="for programs"),
        pytest.param(["up", "--trino-port", "8080"], Wanted("up", trino_port=8080), id="a port of one's own"),
    ],
)
def test_a_command_line_is_understood(argv: list[str], wanted: Wanted) -> None:
    assert parse(argv) == wanted


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param([], id="no verb"),
        pytest.param(["frobnicate"], id="unknown verb"),
        pytest.param(["identity"], id="area without verb"),
        pytest.param(["test", "slow"], id="unknown tier"),
        pytest.param(["down", "--now"], id="unknown option"),
        pytest.param(["up", "--trino-port", "70000"], id="no such port"),
    ],
)
def test_wrong_usage_ends_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(argv)
    assert ended.value.code == 2


@pytest.mark.parametrize("argv", [["--help"], ["test", "--help"], ["up", "--help"], ["tags", "--help"]])
def test_help_ends_with_0(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(argv)
    assert ended.value.code == 0
    assert "usage: ./databank" in capsys.readouterr().out


def test_every_tier_of_the_command_line_is_run() -> None:
    assert ["gate", *FOLDERS] == list(TIERS)
