"""Packages of the operating system: find what is missing; as root on Debian install it, else name the one command."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from services.setup import java, paths
from services.setup.progress import say
from spark_jobs.errors import RetryableError, TerminalError

_LIST_LINE = re.compile(r"^  (debian-\d+-[a-z]+): \[([^\]]*)\]\s*$", re.MULTILINE)

# Each program of the hosts that the appliance's tests boot, and its package.
_OF_TEST_HOSTS = {"systemd-nspawn": "systemd-container", "nft": "nftables", "debootstrap": "debootstrap"}


def listed(release_text: str) -> dict[str, list[str]]:
    """The `os_packages` of the release file, read without a YAML library: it runs before there is one."""
    section = release_text.partition("\nos_packages:\n")[2]
    return {name: [p.strip() for p in packages.split(",")] for name, packages in _LIST_LINE.findall(section)}


def debian_release(os_release: Path = Path("/etc/os-release")) -> str | None:
    """`debian-12` on Debian 12; None on anything else."""
    try:
        pairs = (line.partition("=") for line in os_release.read_text(encoding="utf-8").splitlines())
    except OSError:
        return None
    fields = {key: value.strip('"') for key, _, value in pairs}
    return f"debian-{fields.get('VERSION_ID', '')}" if fields.get("ID") == "debian" else None


def ensure(*, for_tests: bool) -> None:
    """Everything that set-up calls is there afterwards; TerminalError names the one command that brings it."""
    lacking = missing(for_tests=for_tests)
    if not lacking:
        return
    release = debian_release()
    packages = _packages_for(lacking, release)
    what = "; ".join(lacking.values())
    if release is None or not packages:
        raise TerminalError(f"this machine lacks: {what}. Install that with its package tool, then run again")
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        raise TerminalError(f"this machine lacks: {what}. Run\n\n    sudo {shlex.join(command)}\n\nthen run again")
    say(f"this machine lacks: {what}; installing {' '.join(packages)}")
    _apt(["apt-get", "update", "--quiet"])
    _apt([*command, "--quiet"])
    still = missing(for_tests=for_tests)
    if still:
        raise TerminalError(f"{' '.join(packages)} installed, but still missing: {'; '.join(still.values())}")


def missing(*, for_tests: bool) -> dict[str, str]:
    """What is not there: a word that its package's name contains, and how to say it."""
    lacking: dict[str, str] = {}
    if importlib.util.find_spec("ensurepip") is None:
        lacking["venv"] = "Python's `venv` with pip"
    if shutil.which("mvn") is None:
        lacking["maven"] = "Maven (`mvn`), which fetches the jars"
    try:
        java.choose(java.SPARK)
    except TerminalError as error:
        lacking["jre-headless"] = str(error)
    return lacking | (missing_for_tests() if for_tests else {})


def missing_for_tests() -> dict[str, str]:
    """What only the tests need, as `missing` says it."""
    lacking: dict[str, str] = {}
    if shutil.which("initdb") is None and not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        lacking["postgresql"] = "PostgreSQL (`initdb`), for the ledger's tests"
    if not any(Path("/usr/sbin").glob("mariadbd")):
        lacking["mariadb-server-core"] = "MariaDB (`mariadbd`), for tests of databases as sources"
    if shutil.which("javac") is None:
        lacking["jdk-headless"] = "a Java compiler (`javac`), for the tests of the log store"
    if shutil.which("ssh-keygen") is None:
        lacking["openssh-client"] = "`ssh-keygen`, for the tests of the bundle's signature"
    for program, package in _OF_TEST_HOSTS.items():
        if shutil.which(program) is None:
            lacking[package] = f"`{program}`, for the hosts of the appliance's tests"
    return lacking


def _packages_for(lacking: dict[str, str], release: str | None) -> list[str]:
    by_list = listed(paths.release_file().read_text(encoding="utf-8"))
    known = [*by_list.get(f"{release}-run", []), *by_list.get(f"{release}-test", [])]
    return [package for package in known if any(word in package for word in lacking)]


def _apt(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    finished = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if finished.returncode:
        tail = "\n  ".join(finished.stdout.splitlines()[-8:])
        raise RetryableError(
            f"`{shlex.join(command)}` ended with {finished.returncode}:\n  {tail}\nMend that, then run again"
        )
