"""Flags for Java that programs of a few minutes share."""

from __future__ import annotations

# The optimising compiler begins twelve times later than it would. A batch job plans hundreds of queries once: compiling
# what it used for seconds took 40 % of its CPU time (bench/README.md). What runs for long is optimised all the same.
LATE_OPTIMISING = (
    "-XX:Tier4InvocationThreshold=60000",
    "-XX:Tier4MinInvocationThreshold=12000",
    "-XX:Tier4CompileThreshold=180000",
    "-XX:Tier4BackEdgeThreshold=480000",
)
