"""Exports: files for receivers outside, of one published state of tags, each with a manifest."""
