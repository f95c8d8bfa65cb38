"""`./databank bundle VERB`: builds the one file that hosts without internet are installed from, and checks it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from spark_jobs.errors import TerminalError, ended


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./databank bundle", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    build = verbs.add_parser(
        "build", help="make databank-VERSION.tar of this checkout's commit; as root, on a machine with internet"
    )
    build.add_argument(
        "--key",
        type=Path,
        required=True,
        metavar="FILE",
        help="private SSH key that signs it; `ssh-keygen -t ed25519 -f FILE` makes one",
    )
    build.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where it is written; default: here")
    build.add_argument("--release", metavar="X.Y.Z", help="another of `ansible/releases` than the one of this checkout")
    verify = verbs.add_parser("verify", help="is a bundle whole and signed? Needs nothing but the bundle")
    verify.add_argument("bundle", type=Path, metavar="FILE_OR_DIR", help="the tar, or the folder it was unpacked to")
    verify.add_argument(
        "--signers", type=Path, metavar="FILE", help="allowed signers that you trust; default: the bundle's own"
    )
    verify.add_argument("--json", action="store_true", help="one JSON object, for programs")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one verb; 0, 1 (a person must act), 75 (try again), 70 (defect), 2 (usage) or 130 (interrupted)."""
    args = _parser().parse_args(argv)
    return ended(f"bundle {args.verb}", lambda: _build(args) if args.verb == "build" else _verify(args))


def _build(args: argparse.Namespace) -> int:
    from services.bundle import build  # noqa: PLC0415 - `verify` has the standard library alone

    if os.geteuid() != 0:
        raise TerminalError("a bundle is built in a Debian root of its own, which root alone can make; use sudo")
    path = build.build(args.key.expanduser(), args.out, version=args.release)
    sys.stdout.write(f"{path}\n")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from services.bundle.verify import verify  # noqa: PLC0415 - `--help` needs none of it

    try:
        signers = args.signers.read_text(encoding="utf-8") if args.signers else None
    except OSError as error:
        raise TerminalError(f"--signers {args.signers} cannot be read: {error.strerror}") from error
    found = verify(args.bundle, signers=signers)
    if args.json:
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
        return 0
    sys.stdout.write(
        f"Databank {found.version}, commit {found.commit}, built {found.built_at}: "
        f"{found.files:,} files, {found.size / 1e6:,.0f} MB, all as signed by {found.fingerprint}\n"
    )
    if signers is None:
        sys.stdout.write("That key is named by the bundle itself: compare the fingerprint, or give --signers.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
