"""The command line: thin over `python -m spark_jobs JOB`, `python -m migration VERB` and `python -m services NAME`."""
