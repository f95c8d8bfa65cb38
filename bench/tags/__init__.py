"""Tags: rows per CPU second of the kernels and of the peers, and what 300 rules cost beside 30."""
