"""What the old system gives away: files of history, members and products, the live stream, and the truth for tests.

Real are the purchases, products, campaigns, redemptions and attributes. Identifiers and behaviour are simulated by
`bench.company`, which runs as a process of its own. The same seed and sample give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb

from services.demo import export_source
from services.demo.export_live import write_live
from services.demo.export_planting import Planted, plant
from services.demo.export_tables import source_totals, write_dimensions, write_households, write_transactions
from services.setup.paths import REPO
from services.setup.space import require_free, require_writable
from spark_jobs.errors import TerminalError, ended

FORMAT = 1
EXPECTED = "expected.json"
FOLDERS = ("truth", "live", "export")
SEED = 7
NEEDED_BYTES = 600_000_000

Progress = Callable[[str], None]


def export(
    target: Path, *, seed: int = SEED, sample: float = 1.0, source: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Write export/, live/ and truth/ under `target`, replacing an earlier export; Out: truth/expected.json.

    `sample` is the share of households, `source` the folder of the Parquet files (default: the installed package).
    Nothing changes under `target` before all files are written.
    """
    if not 0 < sample <= 1:
        raise TerminalError(f"the sample is {sample}, wanted more than 0 and at most 1, such as 0.1")
    folder = source or export_source.package_folder()
    export_source.require_files(folder)
    require_free(target, NEEDED_BYTES, "the export")
    require_writable(target)
    target.chmod(0o700)  # phone numbers in clear, even though nobody has them
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target) as made:
            expected = _write_all(Path(made), folder, seed=seed, sample=sample, progress=progress or (lambda _: None))
            _put_in_place(Path(made), target)
    except OSError as error:
        raise TerminalError(f"the export to {target} failed: {error}; mend that and export again") from error
    except duckdb.Error as error:
        first_line = str(error).splitlines()[0]
        raise TerminalError(f"the export to {target} failed: {first_line}; mend that and export again") from error
    return expected


def _write_all(made: Path, folder: Path, *, seed: int, sample: float, progress: Progress) -> dict[str, Any]:
    with export_source.opened(folder, seed=seed, sample=sample) as con:
        write_households(con, made / "households.parquet")
        with _generator(made, seed=seed, sample=sample) as company:
            progress("transactions")
            files = write_transactions(con, made / "export" / "transactions")
            planted = plant(files, seed=seed)
            rows = write_dimensions(con, made / "export")
            totals = source_totals(con)
            progress("members and behaviour")
            simulated = company()
        progress("live events")
        live = write_live(con, made / "live", seed=seed, sample=sample)
    expected: dict[str, Any] = {
        "format": FORMAT,
        "seed": seed,
        "sample": sample,
        "workspace": export_source.WORKSPACE,
        "zone": export_source.ZONE.key,
        "live_since": f"{export_source.LIVE_SINCE:%Y-%m-%dT%H:%M:%SZ}",
        "source": totals,
        "rows": {**rows, "members.csv": simulated["members_rows"]},
        "transactions": _planted_counts(planted, int(totals["history"]["lines"])),
        "live": asdict(live),
        "company": simulated,
    }
    text = json.dumps(expected, indent=2, sort_keys=True, ensure_ascii=False)
    (made / "truth" / EXPECTED).write_text(text + "\n", encoding="utf-8")
    return expected


@contextmanager
def _generator(made: Path, *, seed: int, sample: float) -> Iterator[Callable[[], dict[str, Any]]]:
    """Run `bench.company` beside this process; the value waits for its end and gives its counts."""
    command = [sys.executable, "-m", "bench.company", "generate", "--out", str(made.resolve())]
    command += ["--households", str(made.resolve() / "households.parquet"), "--seed", str(seed)]
    command += ["--sample", str(sample)]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield lambda: _answer(process)
    finally:
        with process:  # waits, and closes the pipes
            process.kill()


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    answer, complaint = process.communicate()
    if process.returncode != 0:
        last_line = (complaint.strip().splitlines() or ["no message"])[-1]
        raise TerminalError(f"the generator of members ended with {process.returncode}: {last_line}")
    counts: dict[str, Any] = json.loads(answer)
    return counts


def _planted_counts(planted: Sequence[Planted], real_lines: int) -> dict[str, Any]:
    places = Counter(item.place for item in planted)
    kinds = {place: Counter(item.kind for item in planted if item.place == place) for place in places}
    return {
        "read": real_lines + len(planted),
        "good": real_lines,
        "quarantined": places["quarantined"],
        "duplicate": places["duplicate"],
        "by_kind": kinds,
        "planted": [asdict(item) for item in planted],
    }


def _put_in_place(made: Path, target: Path) -> None:
    """The truth goes first and comes last: while it is there, the rest belongs to it."""
    for name in FOLDERS:
        shutil.rmtree(target / name, ignore_errors=True)
    for name in reversed(FOLDERS):
        (made / name).rename(target / name)


def main(argv: list[str] | None = None) -> int:
    """`python -m services.demo.export --out DIR`; prints the expected counts as JSON, planted lines left out."""
    parser = argparse.ArgumentParser(prog="python -m services.demo.export", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--sample", type=float, default=1.0, metavar="SHARE", help="share of households; default 1")
    args = parser.parse_args(argv)
    return ended("export", lambda: _export_and_print(args))


def _export_and_print(args: argparse.Namespace) -> int:
    expected = export(args.out, seed=args.seed, sample=args.sample)
    del expected["transactions"]["planted"]
    sys.stdout.write(json.dumps(expected, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
