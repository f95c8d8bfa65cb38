"""Kafka's topics as the contracts describe them, and how this platform's own clients come in."""
