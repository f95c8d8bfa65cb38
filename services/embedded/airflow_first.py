"""`PYTHON airflow_first.py MARK`, in Airflow's environment: its database, its account and the pool of Spark.

The password comes on standard input; ACCOUNTS names the program that makes accounts on clusters as well.
"""

from __future__ import annotations

import hashlib
import os
import runpy
import sys
from importlib.metadata import version
from pathlib import Path


def main(mark: Path) -> None:
    """At once where MARK says that all of it was done for this release of Airflow and this password."""
    password, slots = sys.stdin.read().strip(), int(os.environ["SLOTS"])
    told = f"{version('apache-airflow')} {os.environ['LOGIN']} {password} {slots}"
    wanted = hashlib.sha256(told.encode()).hexdigest()
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        return
    from airflow.models.pool import Pool  # noqa: PLC0415 - Airflow is heavy
    from airflow.utils import db  # noqa: PLC0415

    db.initdb()
    Pool.create_or_update_pool("spark", slots, "Drivers that fit into this machine", include_deferred=False)
    accounts = runpy.run_path(os.environ["ACCOUNTS"])
    accounts["main"]([[os.environ["LOGIN"], "Admin", password]], wanted, str(mark))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
