"""Benchmarks and the synthetic company; they may read the platform, the platform never imports them."""
