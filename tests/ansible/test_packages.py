"""Which Debian packages are installed: those that are missing, and those that came with us and are older now."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

from tests.ansible.loading import ANSIBLE

TASKS = yaml.safe_load((ANSIBLE / "roles" / "component" / "tasks" / "packages.yml").read_text())
INSTALLED = """\
ii  chrony 4.6.1-3
hi  held 1.0
iU  half 1.0
ii  openjdk-21-jre-headless 21.0.9-1~deb13u1
ii  libc6 2.41-12
ii  newer 3.0
"""
INDEX = "".join(
    f"Package: {name}\nVersion: {version}\nDescription: text\n Version: 99\n\n"
    for name, version in {
        "chrony": "4.6.1-3",
        "held": "2.0",
        "openjdk-21-jre-headless": "21.0.13-1~deb13u1",
        "libc6": "2.41-13",
        "newer": "2.0",
    }.items()
)


def wanted(folder: Path, asked: str) -> list[str]:
    """What the first task says on a host where these packages are installed."""
    (folder / "dpkg-query").write_text(f"#!/bin/sh\ncat <<'END'\n{INSTALLED}END\n")
    (folder / "dpkg-query").chmod(0o755)
    script = str(TASKS[0]["ansible.builtin.shell"]["cmd"])
    for given, value in {
        "component_packages | join(' ')": asked,
        "databank_data": str(folder),
        "databank_programs": str(folder),
    }.items():
        script = script.replace(f"{{{{ {given} }}}}", value)
    path = f"{folder}:{os.environ['PATH']}"
    answer = subprocess.run(["bash", "-c", script], env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()


def test_on_a_virgin_host_what_is_missing_is_wanted(tmp_path: Path) -> None:
    assert wanted(tmp_path, "chrony half postgresql") == ["half", "postgresql"]


def test_what_came_with_us_is_lifted_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "packages.added").write_text("chrony\nheld\nopenjdk-21-jre-headless\nnewer\ngone\n")
    (tmp_path / "packages" / "current").mkdir(parents=True)
    (tmp_path / "packages" / "current" / "Packages").write_text(INDEX)
    assert wanted(tmp_path, "chrony") == ["openjdk-21-jre-headless"]


def test_what_apt_only_lifts_is_not_noted_as_brought_by_us() -> None:
    said = (
        "Inst libc6 [2.41-12] (2.41-13 Debian [amd64])\nInst chrony (4.6.1-3 Debian [amd64])\nConf chrony (4.6.1-3)\n"
    )
    script = str(TASKS[1]["ansible.builtin.shell"]["cmd"])
    pattern = script[script.index("sed -n ") :].split("'")[1]
    answer = subprocess.run(["sed", "-n", pattern], input=said, capture_output=True, text=True, check=True)
    assert answer.stdout == "chrony\n"
