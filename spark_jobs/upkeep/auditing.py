"""Audit a Delta table from its folder alone: is the log whole, and is every file there that it names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# Every action of the Delta protocol (delta-io/delta, PROTOCOL.md, "Actions"); a line that is none of them is damage.
ACTIONS = (
    *("add", "remove", "cdc", "metaData", "protocol", "txn", "commitInfo"),
    *("domainMetadata", "checkpointMetadata", "sidecar"),
)
NO_CHECKPOINT = -1
SHOWN = 5
_COMMIT = re.compile(r"^(\d{20})\.json$")
_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint(?:\.\d{10}\.(\d{10}))?\.parquet$")
_LINE = "add struct<path: string, size: bigint>, remove struct<path: string>, commitInfo struct<txnId: string>"


@dataclass(frozen=True, slots=True)
class Log:
    """What the names and lengths of the log's files say.

    `checkpoint` is the newest whole one (NO_CHECKPOINT: none), `first` and `newest` are versions of commits.
    """

    checkpoint: int
    first: int | None
    newest: int | None
    commits: int
    empty: tuple[int, ...]

    def problems(self) -> Iterator[str]:
        """What a table cannot be replayed with."""
        if self.first is None or self.newest is None:
            yield "the log holds no commit"
            return
        if self.commits != self.newest - self.first + 1:
            missing = self.newest - self.first + 1 - self.commits
            yield f"{missing} of the commits between {self.first} and {self.newest} are missing"
        if self.first > self.checkpoint + 1:
            where = f"checkpoint {self.checkpoint}" if self.checkpoint != NO_CHECKPOINT else "no checkpoint"
            yield f"the oldest commit is {self.first}, and there is {where} that it could follow"
        if self.newest < self.checkpoint:
            yield f"the newest commit is {self.newest}, older than checkpoint {self.checkpoint}"
        if self.empty:
            yield f"commits are empty: {', '.join(map(str, self.empty))}"


def log_of(files: Sequence[tuple[str, int]]) -> Log:
    """In: name and length of each file of the log."""
    commits = {int(found[1]): length for name, length in files if (found := _COMMIT.match(name))}
    return Log(
        checkpoint=newest_checkpoint(name for name, _ in files),
        first=min(commits, default=None),
        newest=max(commits, default=None),
        commits=len(commits),
        empty=tuple(sorted(version for version, length in commits.items() if not length)[:SHOWN]),
    )


def newest_checkpoint(names: Iterable[str]) -> int:
    """The newest version whose checkpoint has all its parts; NO_CHECKPOINT where none has."""
    parts = Counter((int(found[1]), int(found[2] or 1)) for name in names if (found := _CHECKPOINT.match(name)))
    return max((version for (version, wanted), count in parts.items() if count == wanted), default=NO_CHECKPOINT)


def broken_lines(lines: DataFrame) -> DataFrame:
    """Lines that are no action: version, line. In: version, line."""
    names = F.map_keys(F.from_json("line", "map<string, string>", {"mode": "PERMISSIVE"}))
    known = F.array(*[F.lit(name) for name in ACTIONS])
    is_action = (F.size(names) == 1) & F.arrays_overlap(names, known)
    return lines.where(~F.coalesce(is_action, F.lit(False)))


def actions_of(lines: DataFrame) -> DataFrame:
    """version, add (path, size), remove (path), commitInfo (txnId); null where a line is something else."""
    return lines.select("version", F.from_json("line", _LINE).alias("action")).select("version", "action.*")


def live_files(actions: DataFrame) -> DataFrame:
    """The files that a table's newest version consists of: path (relative, decoded), size.

    In: version, add, remove of a checkpoint and of all commits after it. The last word on a path counts; within one
    commit an add goes before a remove.
    """
    path = F.coalesce("add.path", "remove.path")
    # The log spells paths as URIs do, in which "+" stands for itself; url_decode would make a blank of it.
    decoded = F.url_decode(F.replace(path, F.lit("+"), F.lit("%2B")))
    is_add = F.col("add").isNotNull()
    said = actions.where(path.isNotNull()).select(
        decoded.alias("path"),
        F.struct("version", is_add.alias("is_add")).alias("when"),
        F.struct(is_add.alias("is_add"), F.col("add.size").alias("size")).alias("word"),
    )
    last = said.groupBy("path").agg(F.max_by("word", "when").alias("last"))
    return last.where("last.is_add").select("path", F.col("last.size").alias("size"))


def with_length(live: DataFrame, present: DataFrame) -> DataFrame:
    """Live files with the length that they have in the folder, null where they are not there: path, size, length.

    In: path, size of live files; path, length of the files in the folder.
    """
    # Both sides have every path once, so this join cannot add rows.
    return live.join(present, on="path", how="left")


def differing(files: DataFrame) -> DataFrame:
    """The rows of `with_length` that are not as the log says."""
    return files.where(~F.col("length").eqNullSafe(F.col("size")))


def totals(files: DataFrame) -> DataFrame:
    """One row: how many files are live, their bytes, and those of them that are absent or of another length."""
    return files.agg(
        F.count(F.lit(1)).alias("files"),
        F.coalesce(F.sum("size"), F.lit(0)).alias("bytes"),
        F.count_if(F.col("length").isNull()).alias("absent"),
        F.count_if(F.col("length") != F.col("size")).alias("other_length"),
    )


def checksum_problems(
    noted: Mapping[str, Any] | None, found: Mapping[str, Any], newest_txn_id: str | None
) -> Iterator[str]:
    """Compare what Delta noted beside its newest commit with the replay.

    Nothing noted is no problem: a writer may die between a commit and its note.
    """
    if noted is None:
        return
    pairs = {
        "files": (noted["numFiles"], found["files"]),
        "bytes": (noted["tableSizeBytes"], found["bytes"]),
        "as its newest transaction": (noted["txnId"], newest_txn_id),
    }
    for name, (wanted, replayed) in pairs.items():
        if wanted is not None and wanted != replayed:
            yield f"the log's replay gives {replayed} {name}, the checksum file says {wanted}"
