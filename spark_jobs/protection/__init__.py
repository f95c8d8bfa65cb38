"""Keys, tokens and sealing: what keeps identifiers and refused bytes from being written in clear."""
