"""Where things lie in a bundle: the project's code at its top, everything else under `bundle/`."""

from __future__ import annotations

TOP = "bundle"
MANIFEST = f"{TOP}/manifest.json"
SIGNATURE = f"{MANIFEST}.sig"
SIGNERS = f"{TOP}/allowed_signers"
SBOM = f"{TOP}/sbom.cdx.json"
CONTROL_WHEELS = f"{TOP}/wheels"
PAYLOADS = f"{TOP}/payloads"

# Not under the manifest's hashes: it cannot hold its own, and the signature is made over it.
UNLISTED = frozenset({MANIFEST, SIGNATURE, SIGNERS})
FORMAT = 1
