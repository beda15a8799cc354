"""Chats: their details, their list, their keys."""
