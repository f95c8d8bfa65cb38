"""The end-to-end smoke of a cluster: one message, one file, one table and one DAG run, each taken all the way."""
