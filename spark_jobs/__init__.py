"""Batch and streaming jobs of the platform; `python -m spark_jobs --help` lists them."""
