"""Requests that have an effect, ready to be sent again and again: every POST, with all set up that it needs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
from fastapi import FastAPI

from app.models import Chat
from tests.callers import Json, ok, openai_error, problem
from tests.document import Operation
from tests.tables import stored

HELLO: Json = {"role": "user", "content": "Hello"}
HI: Json = {"role": "assistant", "content": "Hi!"}
ORPHAN: Json = {"role": "tool", "content": "8", "tool_call_id": "call_1"}
# As long as the example of its end says.
GROWING: Json = {"role": "assistant", "content": "Eight minutes in boiling water.", "status": "in_progress"}
ABSENT = "01932c07-1f3e-7000-8000-abcdef012345"

_VERSION, _HOLDER = (list(Chat.model_fields).index(name) for name in ("version", "lease_holder"))


async def _in_the_trash(client: httpx2.AsyncClient, path: str) -> None:
    ok(await client.delete(path))


async def _growing(client: httpx2.AsyncClient, path: str) -> None:
    ok(await client.post(f"{path}/messages", json=GROWING))


async def _orphaned(client: httpx2.AsyncClient, path: str) -> None:
    ok(await client.post(f"{path}/messages", json={"messages": [ORPHAN, ORPHAN]}))


SET_UPS: dict[str, Callable[[httpx2.AsyncClient, str], Awaitable[None]]] = {
    "/restore": _in_the_trash,
    "/complete": _growing,
    "/fail": _growing,
    "/repair": _orphaned,
}
"""What is done to a chat with two messages before a path with this end, by a client and the chat's path."""

DONE_ONCE = ("/restore", "/complete", "/fail", "/repair")
"""The ends of paths that have no more effect on a chat after the first time."""

REPLACING = "/v1/conversations/{conversation}"
"""The path of an operation that puts something in the place of what is there: the second time that is the same."""

TAKEN_ONCE = ("/turn",)
"""The ends of paths that are refused with 409 after the first time."""


async def a_chat(client: httpx2.AsyncClient, post: Operation, **details: Any) -> str:
    """The id of a new chat that the operation has an effect on."""
    chat_id: str = ok(await client.post("/chats", json={**details, "conversation": [HELLO, HI]}))["chat_id"]
    for end, set_up in SET_UPS.items():
        if post.path.endswith(end):
            await set_up(client, f"/chats/{chat_id}")
    return chat_id


def path_of(post: Operation, chat: str) -> str:
    """The path of the operation on a chat, and on the message that was set up where it is about one."""
    path = post.path.replace("{conversation}", f"conv_{chat.replace('-', '')}")
    return path.replace("{chat}", chat).replace("{message}", "3")


@dataclass
class Attempt:
    """A request ready to be sent, again and again, with everything set up that it needs."""

    client: httpx2.AsyncClient
    other: httpx2.AsyncClient
    owners: tuple[str, str]  # whose rows it can change: the user's, and those of the API key itself
    path: str
    body: Any
    has_no_second_effect: bool = False

    async def send(
        self, key: str | None = "key", *, query: str = "", again: bool = False, **changes: Any
    ) -> httpx2.Response:
        """Sends it, by the other process if `again`."""
        client = self.other if again else self.client
        headers = {} if key is None else {"Idempotency-Key": key}
        body = {**self.body, **changes} if changes else self.body
        return await client.post(self.path + query, json=body, headers=headers)

    async def effects(self, app: FastAPI) -> int:
        """Grows by one with every effect: each chat counts its changes and has one turn; keys and tickets are rows."""
        tables = await stored(app, *self.owners)
        versions: list[int] = [row[_VERSION] for row in tables["chats"]]
        if self.path == "/v1/conversations":
            # Such a chat has counted its creation, and its first items.
            versions = [1 for _ in versions]
        turns = [row for row in tables["chats"] if row[_HOLDER] is not None]
        return sum(versions) + len(turns) + len(tables["api_keys"]) + len(tables["tickets"])

    def ok_again(self, answer: httpx2.Response) -> int:
        """How many effects a second request had, by its answer, which must be as it should."""
        if self.path.endswith(TAKEN_ONCE):
            assert answer.status_code == 409
            return 0
        ok(answer)
        return 0 if self.has_no_second_effect else 1

    def refused(self, answer: httpx2.Response, status: int) -> Json:
        """The details of an answer that must be an error. In OpenAI's API what cannot be helped is a 400."""
        if self.path.startswith("/v1/"):
            return openai_error(answer, 400 if status == 422 else status)
        return problem(answer, status)


async def prepared(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, post: Operation) -> Attempt:
    """The operation on a chat of its own, by an API key of its own that acts for the user of both clients."""
    chat_id = await a_chat(me, post)
    # A key of its own, since the answers of admin routes are kept under who asked.
    caller = ok(
        await me.post("/admin/api-keys", json={"name": "caller", "scopes": ["chats:read", "chats:write", "admin"]})
    )
    for client in (me, me_too):
        client.headers["Authorization"] = f"Bearer {caller['key']}"
    body = {**post.body, "key": None} if post.path == "/chats" else post.body
    owners = (me.headers["X-User-Id"], f"key:{caller['key_id']}")
    once = post.path.endswith(DONE_ONCE) or post.path == REPLACING
    return Attempt(me, me_too, owners, path_of(post, chat_id), body, once)
