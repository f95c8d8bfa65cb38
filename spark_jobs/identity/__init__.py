"""One-ID: from identifiers that were seen together to one id per person, with evidence, guards and proof."""
