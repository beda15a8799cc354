"""Messages with keys, and a look at which there are."""

from typing import Any

import httpx2

from tests.callers import Json, every_item, ok

NOBODY = "01932c07-1f3e-7000-8000-abcdef012345"
B = "key:b%2F%C3%BC%20%252F"
"""How a path names the last message of the fixture `keyed_path`."""


def said(content: str = "Hello", **fields: Any) -> Json:
    """A message as it is sent."""
    return {"role": "user", "content": content, **fields}


async def keys(client: httpx2.AsyncClient, path: str) -> list[str | None]:
    """The keys of a chat's messages, of every branch."""
    return [message.get("key") for message in await every_item(client, path, tree=True)]


async def version(client: httpx2.AsyncClient, path: str) -> int:
    """The version of the chat of these messages."""
    found: int = ok(await client.get(path.removesuffix("/messages")))["version"]
    return found
