"""Questions that more than one capability answers: a tag of a person is explained by tags and by identity."""
