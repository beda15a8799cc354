"""Chats on their way out and in: one stream of records, and the formats that it is written in and read from."""
