"""Triggers: carts and orders that wait are told of once, unless the person buys, refuses, sleeps or was told enough."""
