"""Reading back all that a user has, in each way there is."""

import httpx2

from tests.callers import Json, every_item, ok


async def everything_reads(client: httpx2.AsyncClient) -> None:
    """Fails unless each chat can be read, with each of its messages and its branches."""
    for chat in await every_item(client, "/chats"):
        path = f"/chats/{chat['chat_id']}"
        tree = {message["message_id"]: message for message in await every_item(client, f"{path}/messages", tree=True)}
        assert len(tree) == chat["message_count"]
        active = await every_item(client, f"{path}/messages")
        assert active == branch(tree, chat["head_id"])
        assert ok(await client.get(path, params={"include": "conversation"}))["conversation"] == active
        for one in await every_item(client, f"{path}/branches"):
            messages = await every_item(client, f"{path}/messages", head=one["head_id"])
            assert messages == branch(tree, one["head_id"])
            assert len(messages) == one["message_count"]


def branch(tree: dict[str, Json], head_id: str | None) -> list[Json]:
    """The messages of a tree from a root to a head."""
    found: list[Json] = []
    while head_id is not None:
        found.append(tree[head_id])
        head_id = tree[head_id]["parent_id"]
    return found[::-1]
