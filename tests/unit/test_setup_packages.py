"""What the machine lacks is installed as root on Debian, and otherwise told with one command."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.setup import packages, paths
from spark_jobs.errors import TerminalError


@pytest.mark.parametrize(
    ("os_release", "name"),
    [
        pytest.param('ID=debian\nVERSION_ID="12"\n', "debian-12", id="Debian 12"),
        pytest.param('ID=debian\nVERSION_ID="13"\n', "debian-13", id="Debian 13"),
        pytest.param('ID=ubuntu\nVERSION_ID="24.04"\nID_LIKE=debian\n', None, id="another distribution"),
    ],
)
def test_the_release_of_debian_is_read(tmp_path: Path, os_release: str, name: str | None) -> None:
    path = tmp_path / "os-release"
    path.write_text(os_release)
    assert packages.debian_release(path) == name


@pytest.fixture
def lacks_maven_and_java(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {"maven": "Maven", "jre-headless": "Spark needs Java 17 or 21; found no Java at all"}
    monkeypatch.setattr(packages, "missing", lambda **_: lacking)


@pytest.mark.usefixtures("lacks_maven_and_java")
@pytest.mark.parametrize(
    ("release", "java"), [("debian-12", "openjdk-17-jre-headless"), ("debian-13", "openjdk-21-jre-headless")]
)
def test_a_plain_user_is_told_the_one_command(monkeypatch: pytest.MonkeyPatch, release: str, java: str) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(packages, "debian_release", lambda: release)
    with pytest.raises(TerminalError) as raised:
        packages.ensure(for_tests=False)
    assert f"sudo apt-get install --yes --no-install-recommends maven {java}\n" in str(raised.value)
    assert "found no Java at all" in str(raised.value)


@pytest.mark.usefixtures("lacks_maven_and_java")
def test_elsewhere_what_is_lacking_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "debian_release", lambda: None)
    with pytest.raises(TerminalError, match="this machine lacks: Maven; Spark needs Java 17 or 21"):
        packages.ensure(for_tests=False)


@pytest.mark.usefixtures("lacks_maven_and_java")
def test_root_on_debian_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def apt(command: list[str]) -> None:
        ran.append(command)
        monkeypatch.setattr(packages, "missing", lambda **_: {})

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(packages, "debian_release", lambda: "debian-12")
    monkeypatch.setattr(packages, "_apt", apt)
    packages.ensure(for_tests=False)
    assert [command[1] for command in ran] == ["update", "install"]
    assert ran[1][-3:] == ["maven", "openjdk-17-jre-headless", "--quiet"]


def test_the_tests_need_a_compiler_and_a_database_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr(Path, "glob", lambda _self, _pattern: iter(()))
    assert set(packages.missing_for_tests()) == {
        "postgresql",
        "mariadb-server-core",
        "jdk-headless",
        "openssh-client",
        "systemd-container",
        "nftables",
        "debootstrap",
    }
    by_list = packages.listed(paths.release_file().read_text(encoding="utf-8"))
    assert {"postgresql", "openjdk-21-jdk-headless", "openssh-client", "systemd-container"} <= set(
        by_list["debian-13-test"]
    )
