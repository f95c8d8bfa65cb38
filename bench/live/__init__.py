"""How long after an event live tags show it: in the profile API and in the topic of live tags, at a rate of events."""
