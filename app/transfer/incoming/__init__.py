"""Imports: files come in, are recognised and read as records, and these are stored chat by chat."""
