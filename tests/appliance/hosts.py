"""Debian hosts with systemd and sshd on one machine, in a network namespace of their own that leads nowhere.

`python -m tests.appliance.hosts up DIR` makes them and keeps them, `down DIR` removes them: for work on roles.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.setup import paths, release

BRIDGE = "hosts"
NETWORK = "10.77.0"
ADDRESSES = {"control": f"{NETWORK}.5", "h1": f"{NETWORK}.11", "h2": f"{NETWORK}.12", "h3": f"{NETWORK}.13"}
LATER = {"h4": f"{NETWORK}.14", "outsider": f"{NETWORK}.99"}  # one that may join, and one that never does
READY_S = 120
LIMIT_S = 2400  # for a command: three times what the longest needs on a busy machine
DISK_GB = 64  # of a host; the file is sparse
_INCLUDED = "systemd,systemd-sysv,dbus,openssh-server,python3,iproute2,sudo"
# Hosts that this process booted: their processes are its children and must be waited for.
_BOOTED: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts that live in one folder; names of namespaces are made from it."""

    folder: Path

    @property
    def namespace(self) -> str:
        """The network namespace that the bridge and all hosts live in."""
        return f"databank-{self.folder.name}"[:30]

    @property
    def _entering(self) -> list[str]:
        # Not `ip netns exec`: it mounts /sys anew, and the hosts would find no control groups in it.
        return ["nsenter", f"--net=/run/netns/{self.namespace}"]

    @property
    def key(self) -> Path:
        """The private key that opens every host to root."""
        return self.folder / "ssh" / "key"

    @property
    def share(self) -> Path:
        """What every host sees under /mnt/share, and what stays when a host is made anew."""
        return self.folder / "share"

    def up(self, names: Sequence[str]) -> None:
        """Make the network and boot the hosts; they answer over SSH afterwards."""
        base = ensure_base()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_key()
        self._make_network()
        for name in names:
            self._boot(name, base)
        for name in names:
            self.wait_for(name)

    def run(self, name: str, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command on a host as root; what it said is shown when it fails or does not end."""
        options = ["-i", str(self.key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        options += ["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5"]
        ssh = [*self._entering, "ssh", *options, f"root@{address_of(name)}", command]
        try:
            return subprocess.run(
                ssh,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=check,
                timeout=LIMIT_S,
            )
        except subprocess.CalledProcessError as error:
            error.add_note(f"{name} said: {error.stderr[-3000:]}")
            raise
        except subprocess.TimeoutExpired as error:
            said = b"".join(part for part in (error.stdout, error.stderr) if isinstance(part, bytes))
            raise TimeoutError(f"{name}: {command} took more than {LIMIT_S} s; it said {said[-3000:]!r}") from error

    def wait_for(self, name: str) -> None:
        """Return when the host's system is up, and stays so: sshd may start twice in a new system's first seconds."""
        until, up = time.monotonic() + READY_S, 0
        while up < 3:
            said = self.run(name, "systemctl is-system-running --wait", check=False)
            up = up + 1 if said.returncode <= 1 else 0
            if time.monotonic() > until:
                raise TimeoutError(f"{name} does not answer: {said.stderr.strip()}; see {self.folder / name}.log")
            time.sleep(1)

    def root_of(self, name: str) -> Path:
        """The host's files, as this machine sees them."""
        return self.folder / name / "root"

    def packets_that_tried_to_leave(self) -> int:
        """Packets on the bridge for an address that is none of the hosts' network."""
        answer = self.inside("nft", "-j", "list", "counter", "bridge", "databank", "leaving")
        (counter,) = (one["counter"] for one in json.loads(answer)["nftables"] if "counter" in one)
        return int(counter["packets"])

    def stop(self, name: str) -> None:
        """Pull a host's plug; its disk stays."""
        note = self.folder / name / "pid"
        kill_tree(int(note.read_text()))
        note.unlink()
        # The kernel takes its cable away some seconds later; a host that is booted before that would not come up.
        cables = [one["ifname"] for one in json.loads(self.inside("ip", "-j", "link", "show"))]
        for cable in cables:
            if cable.startswith(f"vb-{name}-"):
                subprocess.run([*self._entering, "ip", "link", "delete", cable], check=False, capture_output=True)
        for mounted in (self.root_of(name), self.folder / name / "disk"):
            subprocess.run(["umount", "--lazy", str(mounted)], check=False)

    def reboot(self, names: Sequence[str]) -> None:
        """Pull all plugs at once, then boot the hosts with the disks they had."""
        for name in names:
            self.stop(name)
        self.up(names)

    def wipe(self, names: Sequence[str]) -> None:
        """Boot hosts anew with empty disks."""
        for name in names:
            self.stop(name)
            shutil.rmtree(self.folder / name)
        self.up(names)

    def down(self) -> None:
        """Power all hosts off and remove every trace of them."""
        for note in self.folder.glob("*/pid"):
            self.stop(note.parent.name)
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def inside(self, *command: str, given: str = "", folder: Path | None = None) -> str:
        """Run a program of this machine in the hosts' network; what it printed."""
        inside = [*self._entering, *command]
        answer = subprocess.run(inside, input=given, cwd=folder, capture_output=True, text=True)
        if answer.returncode:
            raise RuntimeError(f"{' '.join(command)}: {answer.stderr[-3000:]}")
        return answer.stdout

    def _make_key(self) -> None:
        if not self.key.exists():
            self.key.parent.mkdir(parents=True)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)

    def _make_network(self) -> None:
        known = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
        if self.namespace in known:
            return
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "link", "add", BRIDGE, "type", "bridge")
        self.inside("ip", "address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        self.inside("ip", "link", "set", BRIDGE, "up")
        rules = f"""
            table bridge databank {{
                counter leaving {{
                }}
                chain seen {{
                    type filter hook prerouting priority 0;
                    ip daddr != {{ {NETWORK}.0/24, 224.0.0.0/4, 255.255.255.255 }} counter name leaving
                    ip6 daddr != {{ fe80::/10, ff00::/8 }} counter name leaving
                }}
            }}
        """
        self.inside("nft", rules)

    def _boot(self, name: str, base: Path) -> None:
        own = self.folder / name
        if (own / "pid").exists():
            return
        root, disk = own / "root", own / "disk"
        root.mkdir(parents=True, exist_ok=True)
        _mount_disk(own / "disk.img", disk)
        for folder in (disk / "upper", disk / "work"):
            folder.mkdir(exist_ok=True)
        layers = f"lowerdir={base},upperdir={disk / 'upper'},workdir={disk / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(root)], check=True)
        self._configure(name, root)
        command = ["systemd-nspawn", "--quiet", "-D", str(root), "-M", f"{name}-{os.getpid()}", "-b"]
        self.share.mkdir(exist_ok=True)
        command += [
            f"--bind={self.share}:/mnt/share",
            f"--hostname={name}",
            f"--network-bridge={BRIDGE}",
            "--register=no",
            "--keep-unit",
        ]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*self._entering, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True,
            )
        _BOOTED[process.pid] = process
        (own / "pid").write_text(str(process.pid))

    def _configure(self, name: str, root: Path) -> None:
        etc = root / "etc"
        if (root / "root" / ".ssh" / "authorized_keys").exists():  # it was booted before
            return
        (etc / "hostname").write_text(f"{name}\n")
        every = {**ADDRESSES, **LATER}
        lines = [f"{address} {one}.databank.test {one}" for one, address in every.items()]
        (etc / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n")
        network = f"[Match]\nName=host0\n[Network]\nAddress={every[name]}/24\nLinkLocalAddressing=no\n"
        (etc / "systemd" / "network" / "10-host0.network").write_text(network)
        keys = root / "root" / ".ssh"
        keys.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(f"{self.key}.pub", keys / "authorized_keys")
        (etc / "resolv.conf").unlink(missing_ok=True)
        (etc / "resolv.conf").write_text("")
        (etc / "machine-id").write_text("")
        inside = "rm -f /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl -q enable systemd-networkd ssh"
        subprocess.run(["chroot", str(root), "sh", "-ec", inside], check=True, capture_output=True)


def _mount_disk(image: Path, disk: Path) -> None:
    """A file system of stated size, whatever this machine has; made where there is none."""
    disk.mkdir(exist_ok=True)
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(DISK_GB << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(disk)], check=True)


def address_of(name: str) -> str:
    """The address of a host."""
    return {**ADDRESSES, **LATER}[name]


def ensure_base() -> Path:
    """A Debian of the release's target, as small as a server can be; made once."""
    target = release.load(paths.release_file()).target
    base = paths.cache_dir() / "bundle" / f"test-host-{target.suite}"
    marker = base / ".complete"
    if not (marker.exists() and marker.read_text() == _INCLUDED):
        shutil.rmtree(base, ignore_errors=True)
        base.parent.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={_INCLUDED}", target.suite, str(base)]
        subprocess.run(command, check=True, capture_output=True)
        (base / "etc" / "apt" / "sources.list").write_text("")  # a host without internet has no mirror
        marker.write_text(_INCLUDED)
    return base


def kill_tree(pid: int) -> None:
    """End a host as pulling its plug would: nspawn takes everything in it down."""
    subprocess.run(["pkill", "-KILL", "-P", str(pid)], check=False)
    subprocess.run(["kill", "-KILL", str(pid)], check=False, capture_output=True)
    if own := _BOOTED.pop(pid, None):
        own.wait()
    time.sleep(1)


def main(argv: Sequence[str]) -> int:
    """Make, list or remove hosts by hand."""
    verb, folder, *names = argv
    hosts = Hosts(Path(folder))
    if verb == "up":
        hosts.up(names or list(ADDRESSES))
    elif verb == "run":
        answer = hosts.run(names[0], " ".join(names[1:]), check=False)
        sys.stdout.write(answer.stdout + answer.stderr)
        return answer.returncode
    else:
        hosts.down()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
