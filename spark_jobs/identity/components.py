"""Connected components: contract links to stars where they lie, merge by vertex, finish in one task.

A round costs one narrow shuffle. The label of a component is its smallest identifier number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.batches import WHOLE, Numbers, in_pieces

# Links in one kernel call: 4 million take about 0.3 GB while they are renumbered.
PIECE = 4_000_000
# Links that one executor finishes; they and their renumbering take about 70 bytes a link.
ROOT_LINK_BUDGET = 20_000_000
_STAR = "node bigint, root bigint"
_MERGED = "node bigint, root bigint, is_link boolean"


def local_stars(links: DataFrame) -> DataFrame:
    """Contract each file group by itself.

    In:  two columns of numbers, the ends; self links and doubles are welcome.
    Out: node, root (the smallest node that it is connected with in this group); a node stands once per group.
    """
    return links.mapInArrow(_stars_in_pieces, _STAR)


def finish(stars: DataFrame) -> DataFrame:
    """The same over everything, on one executor: node, root; a node stands once. In: at most the budget's rows."""
    return stars.repartition(1).mapInArrow(_stars_at_once, _STAR)


def merge_by_vertex(stars: DataFrame) -> DataFrame:
    """Bring together what the groups say of a node.

    Out: is_link false: node, root (its smallest), every node once; is_link true: two roots that a node connects.
    """
    return stars.repartition("node").mapInArrow(_merge, _MERGED)


def assignments(merged: DataFrame) -> DataFrame:
    """node, root of `merge_by_vertex`."""
    return merged.where(~F.col("is_link")).select("node", "root")


def root_links(merged: DataFrame) -> DataFrame:
    """The links that are left between roots, those of one root together: the next round's input."""
    return merged.where(F.col("is_link")).select("node", "root").repartition("root")


def relabelled(assigned: DataFrame, labels: DataFrame) -> DataFrame:
    """Carry the labels of roots to the nodes of the round before: node, root."""
    final = labels.select(F.col("node").alias("root"), F.col("root").alias("label"))
    # labels has every node once, so this join cannot add rows; a root without links is its own label.
    joined = assigned.join(final, on="root", how="left")
    return joined.select("node", F.coalesce("label", "root").alias("root"))


def _stars_in_pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    from spark_jobs.identity.unionfind import stars  # noqa: PLC0415 - numba belongs to workers only

    for a, b in in_pieces(batches, PIECE):
        yield _batch(*stars(a, b))


def _stars_at_once(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    from spark_jobs.identity.unionfind import stars  # noqa: PLC0415 - numba belongs to workers only

    for a, b in in_pieces(batches, WHOLE):
        yield _batch(*stars(a, b))


def _merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for nodes, roots in in_pieces(batches, WHOLE):
        order = np.lexsort((roots, nodes))
        node, root = nodes[order], roots[order]
        begins = np.concatenate([[True], node[1:] != node[:-1]])
        smallest = root[begins][np.cumsum(begins) - 1]
        differs = root != smallest
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(np.concatenate([node[begins], root[differs]])),
                pa.array(np.concatenate([root[begins], smallest[differs]])),
                pa.array(np.concatenate([np.zeros(begins.sum(), bool), np.ones(differs.sum(), bool)])),
            ],
            names=["node", "root", "is_link"],
        )


def _batch(node: Numbers, root: Numbers) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(node), pa.array(root)], names=["node", "root"])
