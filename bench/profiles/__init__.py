"""The profile API: how long a lookup takes, alone, at a given rate, and while a snapshot loads."""
