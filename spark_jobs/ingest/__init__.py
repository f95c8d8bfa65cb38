"""Kafka to Delta, exactly once: messages become raw events, events, orders and order lines."""
