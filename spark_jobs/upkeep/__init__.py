"""Upkeep: what keeps the lake sound while it is used."""
