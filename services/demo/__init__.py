"""The demo: real history moves in beside live events, and every total is proved."""
