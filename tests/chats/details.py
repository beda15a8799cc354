"""What chats and messages of tests say."""

from typing import Any

import httpx2

from tests.callers import Json, every_item

DETAILS: Json = {
    "key": "feishu:group:user123",
    "title": "Eggs 🥚",
    "summary": "How long\nthey take.",
    "summary_until_seq": 2,
    "platform": "feishu",
    "tags": ["kitchen", "kitchen", "ägg"],
    "is_pinned": True,
    "metadata": {"b": [1, 2.5, None, True], "a": {"": {}}, "long": 2**53, "tiny": 5e-324},
    "expires_at": "2999-01-31T12:00:00.123456Z",
}
HELLO: Json = {"role": "user", "content": "Hello"}
ANSWER: Json = {"role": "assistant", "content": "Hi!", "input_tokens": 3, "output_tokens": 4, "metadata": {"x": 1}}


async def conversation(client: httpx2.AsyncClient, path: str) -> list[tuple[int, Any]]:
    """The seqs and contents of a chat's messages."""
    return [(message["seq"], message.get("content")) for message in await every_item(client, f"{path}/messages")]
