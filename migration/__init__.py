"""Bulk history migration: files of an old system become rows of the contracts' tables, each with a proof."""
