"""Appending messages: the group-commit writer, and its backend for each database."""
