"""Visits: the events of one person in one app, split where the person was idle."""
