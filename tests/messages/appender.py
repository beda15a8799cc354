"""Appends to a commit backend, step by step, and what each must come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import httpx2
from uuid_utils import uuid7

from app.chats.serialize import etag
from app.db.database import Database
from app.db.timestamps import now
from app.http.idempotency import IdempotentRequest, oldest_kept
from app.messages.append.contract import (
    Append,
    Appended,
    CommitBackend,
    KeyTaken,
    Outcome,
    RepeatedAppend,
    StoredAppend,
)
from app.messages.append.new_message import new_messages_of
from app.messages.schemas import MessageToAppend
from tests.callers import Json, every_item, ok

NOBODY = "01932c07-1f3e-7000-8000-abcdef012345"


@dataclass(frozen=True)
class Step:
    """An append, and what it must come to.

    Attributes:
        outcome: the class of a refusal; or the first seq, the seq of the message it follows and how many siblings it
            has; for a retry those of the first attempt.
        parent: the seq of the message it follows, by its id with `by_id`; "" for none.
        lease: a lease that is held meanwhile: `own`, `other`, or `ended` for one of its own that is over.
        if_match: `now`, `old` or `*`.
        key: the chat is named by this key and not by its id.
        again: it has this idempotency key.
        names: the keys of its messages, as far as they have any.
    """

    outcome: type[Outcome] | tuple[Any, ...]
    messages: int = 1
    parent: Any = None
    by_id: bool = False
    lease: str | None = None
    if_match: str | None = None
    key: str | None = None
    chat_id: str | None = None
    again: str | None = None
    age: timedelta = timedelta()
    in_progress: bool = False
    names: Sequence[str] = ()


class Appender:
    """Appends to one chat in one of the ways, and knows what is in it."""

    def __init__(self, db: Database, backend: CommitBackend, user: httpx2.AsyncClient, way: str) -> None:
        self._db = db
        self._backend = backend
        self._user = user
        self._way = way
        self.chat: Json = {}
        self.ids: list[str] = []
        self._by_key: dict[str, str] = {}
        self._lease: int | None = None

    async def run(self, step: Step) -> None:
        """Appends, and holds what that comes to against what it must."""
        append = await self.append_of(step)
        outcome = await self.commit(append)
        if isinstance(step.outcome, type):
            assert isinstance(outcome, step.outcome)
            if isinstance(outcome, KeyTaken):
                there = {name: self._by_key[name] for name in step.names if name in self._by_key}
                assert outcome.messages == {name: (found, self.ids.index(found) + 1) for name, found in there.items()}
            return
        expected = step.outcome
        if len(expected) == 1:
            assert isinstance(outcome, RepeatedAppend)
            assert (outcome.request_sha256, outcome.body) == ("hash", "body")
            assert outcome.appended is not None
            (expected,), appended = expected, outcome.appended
        else:
            assert isinstance(outcome, Appended), outcome
            self.ids += [message.message_id for message in append.new_messages]
            self._by_key |= {name: self.ids[index - len(append.new_messages)] for index, name in enumerate(step.names)}
            appended = outcome
        first_seq, parent_seq, siblings = expected
        parent_id = None if parent_seq is None else self.ids[parent_seq - 1]
        assert (appended.first_seq, appended.parent_id, len(appended.siblings or ())) == (
            first_seq,
            parent_id,
            siblings,
        )
        if step.key is not None:
            self.chat = ok(await self._user.get(f"/chats/key:{step.key}"))
        assert appended.chat_id == self.chat["chat_id"]

    async def commit(self, append: Append) -> Outcome:
        """The outcome of an append."""
        if self._way == "group":
            return (await self._backend.commit([append]))[0]
        async with self._db.write() as session:
            return await self._backend.append_in(session, append)

    async def append_of(self, step: Step) -> Append:
        """The append of a step, with the chat's lease as it says."""
        status: Literal["in_progress"] | None = "in_progress" if step.in_progress else None
        names = dict(enumerate(step.names))
        messages = [
            MessageToAppend(role="user", content=f"{n}", status=status, key=names.get(n)) for n in range(step.messages)
        ]
        token = await self.lease_token(step)
        chat: Json = {"chat_id": NOBODY, "version": 1}
        if step.key is None:
            chat = ok(await self._user.get(self.path))
        parent = step.parent
        if isinstance(parent, int):
            parent = self.ids[parent - 1] if step.by_id else str(parent)
        if_match = None
        if step.if_match is not None:
            version = chat["version"] - (step.if_match == "old")
            if_match = ["*"] if step.if_match == "*" else ["x", etag(chat["chat_id"], version)]
        stored = None
        if step.again is not None:
            stored = StoredAppend(IdempotentRequest("r", step.again, "hash"), "body", oldest_kept() + step.age)
        return Append(
            self._user.headers["X-User-Id"],
            None if step.key else step.chat_id or chat["chat_id"],
            step.key,
            str(uuid7()) if step.key else None,
            new_messages_of(messages),
            now(),
            stored,
            parent,
            token,
            if_match,
        )

    async def lease_token(self, step: Step) -> int | None:
        """The token to append under; gives the chat's lease to who has it meanwhile, or to nobody."""
        await self.release()
        if step.lease is None:
            return None
        if step.lease == "ended" and step.key:
            return 1
        self._lease = ok(await self._user.post(f"{self.path}/turn", json={}))["token"]
        if step.lease == "ended":
            token = self._lease
            await self.release()
            return token
        return self._lease if step.lease == "own" else None

    async def release(self) -> None:
        """Ends the chat's lease."""
        if self._lease is not None:
            ok(await self._user.delete(f"{self.path}/turn", headers={"Turn-Token": str(self._lease)}))
            self._lease = None

    @property
    def path(self) -> str:
        """The chat's path."""
        return f"/chats/{self.chat['chat_id']}"

    async def check(self) -> None:
        """What is stored, read as people do."""
        messages = await every_item(self._user, f"{self.path}/messages", tree="true")
        assert [message["message_id"] for message in messages] == self.ids
        assert [message["seq"] for message in messages] == [*range(1, len(self.ids) + 1)]
        chat = ok(await self._user.get(self.path))
        assert (chat["message_count"], chat["last_seq"], chat["head_id"]) == (
            len(self.ids),
            len(self.ids),
            self.ids[-1],
        )
        changes = ok(await self._user.get("/changes", params={"since": "start", "limit": 200}))["items"]
        appended = [change["seq"] for change in changes if change["type"] == "message.appended"]
        assert appended == [*range(1, len(self.ids) + 1)]
