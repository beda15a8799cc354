"""Exports: chats read from one snapshot as records, written in an archive format, compressed and sent."""
