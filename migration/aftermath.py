"""What is made known when a verb has ended, however it ended: mirror, refusals, progress, metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from migration.metrics import write_metrics
from migration.mirror import mirror
from migration.progress_table import write_progress
from migration.refusals import count_refusals
from migration.watching import attempted
from migration.work import Work
from spark_jobs.settings import Settings


@contextmanager
def made_known(work: Work, settings: Settings) -> Iterator[None]:
    """Make known what the block did. Who interrupts it does not wait for Spark: the next verb makes that good."""
    is_interrupted = False
    try:
        yield
    except KeyboardInterrupt:
        is_interrupted = True
        raise
    finally:
        attempted("writing the metrics", partial(write_metrics, work.ledger, work.plan, settings.metrics_dir))
        if not is_interrupted:
            attempted("mirroring the ledger", partial(mirror, work))
            attempted("counting refusals", partial(count_refusals, work))
            attempted("writing migration.progress", partial(write_progress, work))
