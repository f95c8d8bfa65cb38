"""Spark's event logs in HDFS: what is too old goes."""
