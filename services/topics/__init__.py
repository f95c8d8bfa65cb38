"""Kafka's topics as the contracts describe them."""
