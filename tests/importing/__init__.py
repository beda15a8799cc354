"""Imports by HTTP: files, zips, conflicts, and what is invalid in them."""
