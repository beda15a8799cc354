"""Keys as tests make and bring them."""

from collections.abc import Callable
from typing import Any

PATH = "/admin/api-keys"
READ_WRITE = ["chats:read", "chats:write"]
Headers = dict[str, str]
Make = Callable[..., Any]


def bearing(key: str, **more: str) -> Headers:
    """The headers of a request that brings a key."""
    return {"Authorization": f"Bearer {key}", **more}
