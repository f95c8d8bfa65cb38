"""Which files of this host hold a secret or a private key; told: the secrets. Owner, group and mode of each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

FOLDERS = ("/etc", "/usr/local", "/opt/databank/platform", "/var/lib/databank")
DATA = tuple(f"/var/lib/databank/{name}/" for name in ("kafka/log", "hdfs", "prometheus", "postgresql"))
SKIPPED = ("/etc/ssh/", "/etc/ssl/private/", "/venv/", *DATA)
MOST_BYTES = 4 << 20

secrets = [secret.encode() for secret in json.load(sys.stdin).values()]
secrets += [b"-----BEGIN " + kind + b"PRIVATE KEY-----" for kind in (b"", b"EC ", b"RSA ")]
found = {}
for folder in FOLDERS:
    for path in Path(folder).rglob("*"):
        if any(part in str(path) for part in SKIPPED) or path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size <= MOST_BYTES:
            content = path.read_bytes()
            if any(secret in content for secret in secrets):
                status = path.stat()
                found[str(path)] = f"{path.owner()} {path.group()} {status.st_mode & 0o7777:04o}"
sys.stdout.write(json.dumps(found))
