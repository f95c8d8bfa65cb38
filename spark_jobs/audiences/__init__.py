"""Audiences: sets of persons, drawn from published tags and from other audiences."""
