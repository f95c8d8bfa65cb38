"""Counts of audiences and of what they have in common, from the lake's bitmaps; no Spark behind it."""
