"""The users that these tests act for."""

from tests.people import ann, bob

__all__ = ["ann", "bob"]
