"""Live tags: counts, last moments and recencies of events, answered on top of the batch publication in force."""
