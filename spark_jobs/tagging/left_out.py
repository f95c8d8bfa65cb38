"""Who refuses profiling, as the kernels know them: nothing is answered of them but the tag that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spark_jobs.errors import TerminalError
from spark_jobs.findings import listed
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.dependencies import measures_of, with_used
from spark_jobs.tagging.frames import Booleans, Integers
from spark_jobs.tagging.measures import Quantile


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The tag that says who refuses ('' for none), the tags that it takes to answer it, and whom notes mean.

    noted: person numbers, each once.
    """

    tag: str
    needed: frozenset[str]
    noted: Integers

    def by_notes(self, person_no: Integers) -> Booleans:
        """Which of these persons notes mean. In: person numbers, each once."""
        return np.isin(person_no, self.noted, assume_unique=True)


def left_out_of(catalogue: Catalogue, tag: str, noted: Sequence[int]) -> LeftOut | None:
    """Who is left out; None where nobody can be. In: the refusal tag ('' for none), person numbers that notes mean.

    TerminalError where the catalogue publishes no such tag, or one that cannot be answered before all others.
    """
    if not tag and not noted:
        return None
    needed: frozenset[str] = frozenset(_needed(catalogue, tag)) if tag else frozenset()
    return LeftOut(tag, needed, np.unique(np.array(noted, dtype=np.int64)))


def _needed(catalogue: Catalogue, name: str) -> Sequence[str]:
    known = {tag.name: tag for tag in catalogue.tags}
    if name not in known:
        raise TerminalError(
            f"the catalogue of {catalogue.workspace} publishes no tag {name!r}, which [profiles] refusal_tag names: "
            f"nobody's refusal would be honoured. It publishes: {listed(known)}; add the tag, or correct the setting"
        )
    used = with_used(known[name], catalogue)
    if any(isinstance(measure, Quantile) for one in used for measure in measures_of(one.rule)):
        raise TerminalError(
            f"tag {name!r}, which [profiles] refusal_tag names, goes by bands of a quantile; those are taken of whoever"
            " does not refuse, so it must be known before. Define it without them"
        )
    return [one.name for one in used]
