"""Chats: their details, their list, the trash."""
