"""Exports: chats are read from one snapshot as records, written in an archive format, compressed and streamed."""
