"""The tests as tiers: each callable alone, timed, and summed up in one last line."""
