"""Signatures by `ssh-keygen -Y`: a key that works offline, and a verifier that every Debian has."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from spark_jobs.errors import TerminalError

SIGNER = "databank"
NAMESPACE = "databank-bundle"


def sign(file: Path, key: Path) -> None:
    """Write `FILE.sig`; TerminalError where the key cannot be used."""
    signature = file.with_name(f"{file.name}.sig")
    signature.unlink(missing_ok=True)  # ssh-keygen would ask
    _ssh_keygen(["-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file)], f"{file.name} cannot be signed with {key}")


def allowed_signers(key: Path) -> str:
    """The line that names the key's public half as the one allowed signer."""
    answer = _ssh_keygen(["-y", "-f", str(key)], f"the signing key {key} cannot be read")
    return f'{SIGNER} namespaces="{NAMESPACE}" {" ".join(answer.split()[:2])}\n'


def check(content: bytes, signature: bytes, signers: str) -> str:
    """The fingerprint of the key that signed `content`; TerminalError where no key of `signers` did."""
    with tempfile.TemporaryDirectory(prefix="databank-signature-") as scratch:
        names = {"signature": signature, "signers": signers.encode()}
        paths = {name: Path(scratch) / name for name in names}
        for name, data in names.items():
            paths[name].write_bytes(data)
        command = ["-Y", "verify", "-f", str(paths["signers"]), "-I", SIGNER, "-n", NAMESPACE]
        said = _ssh_keygen(
            [*command, "-s", str(paths["signature"])], "the manifest's signature is not valid", given=content
        )
    return said.strip().rpartition(" ")[2]


def _ssh_keygen(arguments: list[str], failure: str, *, given: bytes = b"") -> str:
    try:
        finished = subprocess.run(["ssh-keygen", *arguments], input=given, capture_output=True)
    except FileNotFoundError as error:
        raise TerminalError("`ssh-keygen` was not found; install the package openssh-client") from error
    if finished.returncode:
        said = (finished.stderr or finished.stdout).decode(errors="replace").strip().splitlines()
        raise TerminalError(f"{failure}: {said[-1] if said else f'status {finished.returncode}'}")
    return finished.stdout.decode()
