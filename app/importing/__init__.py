"""Imports: files are taken in, recognised and read as records, and these are stored chat by chat."""
