"""Where history comes from: what there is to take, whether it is still as planned, and how Spark reads it."""
