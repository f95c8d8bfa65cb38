"""The demo's proof, asked as `bi` over HTTPS; told: its options. All figures, both sides."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from services.demo import export_source
from services.demo.export import SEED
from services.demo.options import BASE, ZONE
from services.demo.proof import Case, prove
from spark_jobs.settings import Account
from trino_catalog.connection import connected

told = json.load(sys.stdin)
with tempfile.TemporaryDirectory() as folder:
    password = Path(folder) / "password"
    password.touch(mode=0o600)
    password.write_text(told["password"])
    account = Account("bi", password, Path(told["ca_file"]))
    with connected(told["url"], account=account) as trino:
        case = Case(export_source.package_folder(), Path(told["members"]), ZONE, BASE, sample=1, seed=SEED)
        checks = prove(case, trino)
sys.stdout.write(json.dumps([asdict(check) for check in checks]))
