"""Campaign: both commands on a clean Debian 13 on which nothing was installed before, from a clean clone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.setup import paths

pytestmark = pytest.mark.campaign

WHERE = "/opt/databank"
COMMAND_S = 90 * 60
KILLED_AFTER_S = (10, 30)  # while packages are installed, while wheels and archives come
# In namespaces of its own: every mount and process is gone with it, however it ends.
ISOLATED = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("making a Debian root needs root")
    if not shutil.which("debootstrap"):
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "debootstrap"], check=True)
    root = tmp_path_factory.mktemp("debian") / "root"
    subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=ca-certificates,python3,git", "trixie", str(root)], check=True
    )
    trust_what_this_machine_trusts(root)
    subprocess.run(["git", "clone", "--quiet", str(paths.REPO), str(root) + WHERE], check=True)
    yield root
    shutil.rmtree(root)


def trust_what_this_machine_trusts(root: Path) -> None:
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    own = Path("/usr/local/share/ca-certificates")
    for certificate in own.glob("*.crt"):
        shutil.copy(certificate, root / own.relative_to("/") / certificate.name)
    subprocess.run(["chroot", str(root), "update-ca-certificates"], check=True)


def run_inside(
    root: Path, *verb: str, most_s: float = COMMAND_S, offline: bool = False
) -> subprocess.CompletedProcess[str]:
    """`./databank VERB` inside; everything of it is killed with -9 after `most_s`, and TimeoutExpired raised."""
    mounts = f"mount -t proc proc {root}/proc && mount --rbind /sys {root}/sys && mount --rbind /dev {root}/dev"
    clean = "env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 CI=true"
    script = f'{mounts} && exec chroot {root} {clean} {WHERE}/databank "$@"'
    return subprocess.run(
        [*ISOLATED, *(["--net"] if offline else []), "sh", "-c", script, "sh", *verb],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=most_s,
    )


def test_the_demo_passes_on_a_clean_debian_13_whose_set_up_was_killed(debian: Path) -> None:
    for seconds in KILLED_AFTER_S:
        with pytest.raises(subprocess.TimeoutExpired):  # else the set-up had ended, and the fault hit nothing
            run_inside(debian, "status", most_s=seconds)
    answer = run_inside(debian, "demo")
    assert answer.returncode == 0, answer.stdout[-4000:] + answer.stderr[-4000:]
    assert "4,596,039.58" in answer.stdout
    again = run_inside(debian, "status", offline=True, most_s=60)  # nothing is downloaded
    assert again.returncode == 0, again.stderr
    assert "setup:" not in again.stdout + again.stderr, again.stderr


def test_all_tests_pass_on_a_clean_debian_13(debian: Path) -> None:
    answer = run_inside(debian, "test")
    assert answer.returncode == 0, answer.stdout[-4000:] + answer.stderr[-4000:]
