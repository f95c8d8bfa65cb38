"""A clean Debian of the target's version, so that wheels and packages fit the hosts whatever this machine is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.setup.progress import say
from services.setup.release import Target
from services.setup.space import require_free
from spark_jobs.errors import RetryableError, TerminalError

# What fetches packages and wheels; pyspark comes as source, so it is built here as well.
_TOOLS = ("apt-utils", "ca-certificates", "python3", "python3-pip", "python3-setuptools", "python3-wheel")
_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT")
# In namespaces of its own: every mount and process is gone with it, however it ends.
_ISOLATED = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
_ROOT_BYTES = 1_500_000_000
_SAID = 12


@dataclass(frozen=True, slots=True)
class DebianRoot:
    """A folder that holds a Debian; `run` runs a program in it."""

    path: Path

    def run(self, command: Sequence[str], *, where: str = "/") -> str:
        """What the program printed; RetryableError with its last words where it failed: most often the network."""
        mounts = f'mount -t proc proc "{self.path}/proc" && mount --rbind /dev "{self.path}/dev"'
        environment = ["env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        environment += ["DEBIAN_FRONTEND=noninteractive"]
        environment += [f"{name}={os.environ[name]}" for name in _PASSED_ON if name in os.environ]
        script = f'{mounts} && exec chroot "{self.path}" "$@"'
        inside = [*environment, "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", where, *command]
        return _run([*_ISOLATED, "sh", "-c", script, "sh", *inside], f"`{' '.join(command[:3])}` in the Debian root")


def ensure(target: Target, folder: Path) -> DebianRoot:
    """The root in `folder`, made where it is not there whole; its lists of packages are fresh afterwards."""
    root, marker = DebianRoot(folder), folder / ".complete"
    wanted = f"{target.suite} {' '.join(_TOOLS)}\n"
    if not (marker.exists() and marker.read_text(encoding="utf-8") == wanted):
        _make(root, target)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", folder / "etc" / name)
    _trust_what_this_machine_trusts(root)
    root.run(["apt-get", "update", "--quiet"])
    marker.write_text(wanted, encoding="utf-8")
    return root


def _make(root: DebianRoot, target: Target) -> None:
    if shutil.which("debootstrap") is None:
        raise TerminalError("`debootstrap` was not found; install the package debootstrap")
    root.path.parent.mkdir(parents=True, exist_ok=True)
    require_free(root.path.parent, _ROOT_BYTES, f"a Debian {target.debian} root")
    shutil.rmtree(root.path, ignore_errors=True)
    say(f"making a Debian {target.debian} root in {root.path}")
    include = f"--include={','.join(_TOOLS)}"
    _run(["debootstrap", "--variant=minbase", include, target.suite, str(root.path)], "debootstrap")
    sources = root.path / "etc" / "apt" / "sources.list"
    mirror = sources.read_text(encoding="utf-8").split()[1]
    suites = {target.suite: mirror, f"{target.suite}-updates": mirror, f"{target.suite}-security": f"{mirror}-security"}
    sources.write_text("".join(f"deb {where} {suite} main\n" for suite, where in suites.items()), encoding="utf-8")


def _trust_what_this_machine_trusts(root: DebianRoot) -> None:
    own = Path("/usr/local/share/ca-certificates")
    for certificate in own.glob("*.crt"):
        shutil.copy(certificate, root.path / own.relative_to("/") / certificate.name)
    root.run(["update-ca-certificates"])


def _run(command: Sequence[str], what: str) -> str:
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if finished.returncode:
        said = [*finished.stdout.splitlines(), *finished.stderr.splitlines()][-_SAID:]
        raise RetryableError(
            f"{what} ended with {finished.returncode}:\n  " + "\n  ".join(said) + "\nMend that, then run again"
        )
    return finished.stdout
