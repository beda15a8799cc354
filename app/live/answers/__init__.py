"""Answers that are written while somebody reads: text in chunks, collected and written a few times a second."""
