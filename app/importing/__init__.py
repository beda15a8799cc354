"""Imports: files are received, their formats detected, their records read, and their chats stored one by one."""
