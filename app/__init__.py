"""Chatkeep: the conversation store for AI agents."""

__version__ = "0.1.0"
