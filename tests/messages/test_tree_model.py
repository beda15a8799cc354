"""Random sequences of everything that changes a chat's tree, and every way to read it, against a plain Python model."""

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.callers import Json, every_item, ok, problem
from tests.messages.tree_model import ChatModel
from tests.profiles import count, examples

ALL = 800
ROLES = ("user", "assistant", "user", "assistant", "system", "tool")
# What happens, and how often of the sum of all.
WEIGHTS = {
    "append": 4,
    "append_batch": 2,
    "branch": 6,
    "branch_batch": 2,
    "new_root": 1,
    "stream": 2,
    "switch": 4,
    "delete": 4,
    "pop": 2,
    "edit": 2,
    "clear": 1,
    "fork": 1,
    "put": 4,
    "put_key": 4,
    "conflict": 3,
}
KINDS = [kind for kind, weight in WEIGHTS.items() for _ in range(weight)]
# Few, so that they are taken and free again by turns.
KEYS = ("a", "b/c", "1", "ü %2F", "key:a", "d")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 99)), min_size=1, max_size=16)
MOST_CHATS = 3


class Run:
    """One sequence: what was done so far, as the service has it and as the model does."""

    def __init__(self, clients: list[httpx2.AsyncClient], seed: int) -> None:
        self.clients = clients
        self.random = random.Random(seed)
        self.chats: list[ChatModel] = []
        self.written = 0

    @property
    def client(self) -> httpx2.AsyncClient:
        """Either of the processes."""
        return self.random.choice(self.clients)

    async def start(self) -> None:
        """A chat that is empty."""
        key = str(uuid4())
        self.chats.append(ChatModel(ok(await self.client.post("/chats", json={"key": key}))["chat_id"], key=key))

    def message(self) -> Json:
        """A message that no other one is."""
        self.written += 1
        said: Json = {"role": self.random.choice(ROLES), "content": f"message {self.written}"}
        if self.random.random() < 0.5:
            names = ("tokens", "input_tokens", "output_tokens")
            said |= {name: self.random.randrange(100) for name in names if self.random.random() < 0.5}
        return said

    def messages(self, chat: ChatModel, size: int) -> list[Json]:
        """Messages to append together, some with a key that is free."""
        free = [key for key in KEYS if key not in chat.by_key()]
        self.random.shuffle(free)
        made = [self.message() for _ in range(size)]
        for message in made:
            if free and self.random.random() < 0.4:
                message["key"] = free.pop()
        return made

    def name(self, chat: ChatModel, seq: int, *, in_path: bool = False) -> Any:
        """A message's id, its seq or its key."""
        names: list[Any] = [chat.nodes[seq].message_id, seq]
        if (key := chat.nodes[seq].body.get("key")) is not None:
            names.append(f"key:{quote(key, safe='') if in_path else key}")
        return self.random.choice(names)

    async def step(self, kind: str, number: int) -> None:
        """Does one thing to one of the chats."""
        chat = self.chats[number % len(self.chats)]
        seqs = sorted(chat.nodes)
        chosen = seqs[number % len(seqs)] if seqs else None
        if kind in ("append", "append_batch", "branch", "branch_batch", "new_root", "stream"):
            await self.grow(chat, kind, chosen)
        elif kind == "put_key":
            await self.put_key(chat, KEYS[number % len(KEYS)])
        elif kind == "conflict":
            await self.conflict(chat)
        elif kind == "pop":
            expected = None if chat.head is None else chat.item(chat.head)
            assert ok(await self.client.post(f"/chats/{chat.chat_id}/messages/pop")) == expected
            if chat.head is not None:
                chat.delete(chat.head)
        elif kind == "clear" and number % 3 == 0:
            ok(await self.client.delete(f"/chats/{chat.chat_id}/messages"))
            chat.clear()
        elif kind == "fork" and len(self.chats) < MOST_CHATS:
            await self.fork(chat, chosen if number % 4 else chat.head, {} if number % 4 == 0 else None)
        elif chosen is not None:
            await self.alter(chat, kind, chosen)

    async def grow(self, chat: ChatModel, kind: str, chosen: int | None) -> None:
        """Appends to a chat: at its head, at a message, or at a new root."""
        parent, said = chosen, {"parent": None if chosen is None else self.name(chat, chosen)}
        if kind in ("append", "append_batch"):
            parent, said = chat.head, {"parent": None if chat.head is None else self.name(chat, chat.head)}
            if self.random.random() < 0.7:
                said = {}
        elif kind == "new_root":
            parent, said = None, {"parent": None}
        if kind == "stream":
            await self.stream(chat, parent, said)
        else:
            await self.append(chat, parent, said, batch=kind.endswith("batch"))

    async def alter(self, chat: ChatModel, kind: str, seq: int) -> None:
        """Does something to a message."""
        path, name = f"/chats/{chat.chat_id}", self.name(chat, seq, in_path=True)
        if kind == "switch":
            said = ok(await self.client.patch(path, json={"head": self.name(chat, seq)}))
            chat.head = seq
            assert said["head_id"] == chat.nodes[seq].message_id
        elif kind == "delete":
            ok(await self.client.delete(f"{path}/messages/{name}"))
            chat.delete(seq)
        elif kind == "put":
            chat.replace(seq, ok(await self.client.put(f"{path}/messages/{name}", json=self.message())))
        elif kind == "edit":
            change = {name: value for name, value in self.message().items() if name != "role"}
            said = ok(await self.client.patch(f"{path}/messages/{name}", json=change))
            chat.nodes[seq].body |= {**change, "edited_at": said["edited_at"]}
            assert said == chat.item(seq)

    async def append(self, chat: ChatModel, parent: int | None, said: Json, *, batch: bool) -> None:
        """Appends a message, or some together."""
        body = self.messages(chat, 1)[0] | said
        if batch:
            body = {"messages": self.messages(chat, self.random.randrange(1, 5)), **said}
        headers = await self.if_match(chat, body)
        answer = ok(await self.client.post(f"{self.path(chat)}/messages", json=body, headers=headers))
        chat.append(parent, answer["messages"] if batch else [answer])

    async def put_key(self, chat: ChatModel, key: str) -> None:
        """Puts a message by its key, at the head or after a parent where there is none."""
        body, seq, parent = self.message(), chat.by_key().get(key), chat.head
        if seq is None and chat.nodes and self.random.random() < 0.5:
            parent = self.random.choice(list(chat.nodes))
            body["parent"] = self.name(chat, parent)
        response = await self.client.put(f"{self.path(chat)}/messages/key:{quote(key, safe='')}", json=body)
        assert response.status_code == (201 if seq is None else 200)
        if seq is None:
            chat.append(parent, [ok(response)])
        else:
            chat.replace(seq, ok(response))

    async def conflict(self, chat: ChatModel) -> None:
        """Appends messages some of whose keys are taken, in each of the ways."""
        messages = self.messages(chat, 3)
        taken = self.random.sample(sorted(chat.by_key()), min(2, len(chat.by_key())))
        for key in taken:
            messages.insert(self.random.randrange(len(messages) + 1), self.message() | {"key": key})
        path = f"{self.path(chat)}/messages"
        if taken:
            details = problem(await self.client.post(path, json={"messages": messages}), 409)
            assert {message["key"]: message["seq"] for message in details["messages"]} == {
                key: chat.by_key()[key] for key in taken
            }
        way = self.random.choice(("skip", "replace"))
        answer = ok(await self.client.post(path, json={"messages": messages}, params={"on_conflict": way}))["messages"]
        there = [chat.by_key().get(message.get("key", "")) for message in messages]
        if way == "replace":
            for seq, message in zip(there, answer, strict=True):
                if seq is not None:
                    chat.nodes[seq].body = {n: v for n, v in message.items() if n not in ("parent_id", "siblings")}
        chat.append(chat.head, [message for seq, message in zip(there, answer, strict=True) if seq is None])
        assert answer == [chat.item(message["seq"]) for message in answer]

    async def stream(self, chat: ChatModel, parent: int | None, said: Json) -> None:
        """Appends a message in progress, adds to its text, and completes it."""
        body = self.messages(chat, 1)[0] | said | {"status": "in_progress"}
        answer = ok(await self.client.post(f"{self.path(chat)}/messages", json=body))
        chat.append(parent, [answer])
        await self.look(chat)
        path = f"{self.path(chat)}/messages/{self.name(chat, chat.last_seq, in_path=True)}"
        ok(await self.client.post(f"{path}/chunks", json={"offset": len(body["content"]), "text": " and more"}))
        text = f"{body['content']} and more"
        chat.nodes[chat.last_seq].body |= {"content": text, "status": "completed"}
        assert ok(await self.client.post(f"{path}/complete", json={"offset": len(text)})) == chat.item(chat.last_seq)

    def path(self, chat: ChatModel) -> str:
        """The path of a chat, by its id or its key."""
        return f"/chats/key:{chat.key}" if chat.key and self.random.random() < 0.5 else f"/chats/{chat.chat_id}"

    async def if_match(self, chat: ChatModel, body: Json) -> Json:
        """The header that guards an append, or none. With an ETag from before, nothing is appended."""
        if self.random.random() < 0.7:
            return {}
        etag = (await self.client.get(self.path(chat))).headers["ETag"]
        version, suffix = etag.strip('"').split("-")
        old = {"If-Match": f'"{int(version) - 1}-{suffix}"'}
        problem(await self.client.post(f"{self.path(chat)}/messages", json=body, headers=old), 412)
        return {"If-Match": etag}

    async def fork(self, chat: ChatModel, at: int | None, body: Json | None) -> None:
        """Copies a branch of a chat."""
        if body is None:
            body = {"at": None if at is None else self.name(chat, at)}
            at = chat.head if at is None else at
        made = ok(await self.client.post(f"/chats/{chat.chat_id}/fork", json=body))
        assert made["forked_from"] == chat.chat_id
        assert made["forked_at"] == (None if at is None else chat.nodes[at].message_id)
        copies = await every_item(self.client, f"/chats/{made['chat_id']}/messages")
        self.chats.append(chat.fork(at, made["chat_id"], copies))

    async def look(self, chat: ChatModel) -> None:
        """Reads the active branch, and one thing more."""
        found = ok(await self.client.get(f"/chats/{chat.chat_id}/messages", params={"limit": 200}))["items"]
        assert found == chat.items(chat.path(chat.head))
        await self.random.choice(self.ways)(chat)

    async def compare(self, chat: ChatModel) -> None:
        """Reads everything there is to read of a chat."""
        said = ok(await self.client.get(f"/chats/{chat.chat_id}", params={"include": "conversation"}))
        assert said["conversation"] == chat.items(chat.path(chat.head))
        assert {name: said[name] for name in chat.chat()} == chat.chat()
        for way in self.ways:
            await way(chat)
        for seq in chat.nodes:
            await self.read(chat, seq, {"limit": 200})

    @property
    def ways(self) -> list[Callable[[ChatModel], Any]]:
        """Ways to read a chat."""
        return [self.windows, self.tree, self.a_head, self.one, self.branches, self.diff]

    async def read(self, chat: ChatModel, head: int | None, query: Json) -> None:
        """Reads the branch that ends at a message, or the active one, page by page."""
        asked = query if head is None else {**query, "head": self.name(chat, head)}
        expected = chat.page(chat.head if head is None else head, query)
        path = f"/chats/{chat.chat_id}/messages"
        assert await every_item(self.client, path, **asked) == chat.items(expected), asked

    def window(self, chat: ChatModel) -> Json:
        """A query for a part of a branch."""
        seq, size = self.random.randrange(chat.last_seq + 2), self.random.randrange(1, 5)
        order = self.random.choice(("asc", "desc"))
        return self.random.choice(
            (
                {"limit": size, "order": order},
                {"limit": size, "order": order, "role": self.random.choice(ROLES)},
                {"limit": size, "order": order, "after_seq": seq},
                {"limit": size, "order": order, "before_seq": seq},
                {"limit": size, "order": order, "after_seq": seq // 2, "before_seq": seq + 2},
                {"last": size},
                {"last": size, "role": self.random.choice(ROLES)},
                {"around_seq": seq, "limit": size},
                {"max_turns": size, "limit": size},
            )
        )

    async def windows(self, chat: ChatModel) -> None:
        """Parts of the active branch."""
        for _ in range(2):
            await self.read(chat, None, self.window(chat))

    async def a_head(self, chat: ChatModel) -> None:
        """A part of some branch."""
        if chat.nodes:
            await self.read(chat, self.random.choice(list(chat.nodes)), self.window(chat))

    async def tree(self, chat: ChatModel) -> None:
        """All of the tree, or a part of it."""
        query = self.random.choice(({"limit": 200}, self.window(chat)))
        if "max_turns" not in query:
            await self.read(chat, None, {**query, "tree": True})

    async def one(self, chat: ChatModel) -> None:
        """A message, there or not."""
        seq = self.random.randrange(1, chat.last_seq + 2)
        answer = await self.client.get(f"/chats/{chat.chat_id}/messages/{seq}")
        if seq in chat.nodes:
            assert ok(answer) == chat.item(seq)
        else:
            problem(answer, 404)
            problem(await self.client.get(f"/chats/{chat.chat_id}/messages", params={"head": seq}), 404)

    async def branches(self, chat: ChatModel) -> None:
        """The leaves."""
        path = f"/chats/{chat.chat_id}/branches"
        assert await every_item(self.client, path, limit=self.random.choice((2, 200))) == chat.branches()

    async def diff(self, chat: ChatModel) -> None:
        """Two branches side by side."""
        a, b = self.random.choices([*chat.nodes, None], k=2)
        sides = {"a": a, "b": b}
        asked = {side: self.name(chat, seq) for side, seq in sides.items() if seq is not None}
        found = ok(await self.client.get(f"/chats/{chat.chat_id}/diff", params={**asked, "limit": 3}))
        assert found == chat.diff(chat.head if a is None else a, chat.head if b is None else b, 3)


@pytest.mark.timeout(count(fast=180, all=ALL))
@examples(fast=30, all=ALL)
@given(steps=STEPS, seed=st.integers(0, 2**16))
async def test_the_store_is_as_the_model(
    me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, steps: list[tuple[str, int]], seed: int
) -> None:
    run = Run([me, me_too], seed)
    await run.start()
    for kind, number in steps:
        await run.step(kind, number)
        await run.look(run.random.choice(run.chats))
    for chat in run.chats:
        await run.compare(chat)
        ok(await me.delete(f"/chats/{chat.chat_id}", params={"hard": "true"}))
