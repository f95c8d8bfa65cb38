"""The profile API: what is known of a person, by any identifier, from one published snapshot at a time."""
