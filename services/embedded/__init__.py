"""The single-machine stack: a real Kafka broker and a real Trino as child processes, on loopback only."""
