"""Conflict policy: what is done with an imported chat, given the chats that its user has already."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils import uuid7

from app.importing.chat_builder import MESSAGE_ID, SEQ, ChatBuilder, Rows
from app.models import Chat

OnConflict = Literal["skip", "replace", "copy"]
Action = Literal["import", "skip", "replace", "copy", "fail"]
ON_CONFLICT: tuple[str, ...] = get_args(OnConflict)


@dataclass(frozen=True, slots=True)
class Existing:
    """A chat that is stored already."""

    chat_id: str
    source: str | None
    key: str | None
    is_deleted: bool
    version: int
    tree_version: int


@dataclass(slots=True)
class Plan:
    """What is done with an imported chat.

    Attributes:
        chat_id, source, key, version: the fields that it is stored with.
        tree_version: that of the chat with this id that it replaces, 0 for none; its own must be higher.
        replaces: the ids of the chats that are erased for it.
        new_message_ids: whether its messages get new ids, since those in the file are in use.
        reason: why it fails, for the action `fail`.
    """

    builder: ChatBuilder
    action: Action
    chat_id: str
    source: str | None
    key: str | None
    version: int
    tree_version: int = 0
    replaces: Sequence[str] = ()
    new_message_ids: bool = False
    reason: str = ""
    head_id: str | None = None

    def with_stored_ids(self, rows: Rows) -> Rows:
        """Rows of the chat, with the ids that it is stored with."""
        builder = self.builder
        if self.chat_id == builder.chat_id and not self.new_message_ids:
            self.head_id = builder.head_id
            return rows
        owner = (builder.user_id, self.chat_id)
        messages = rows["messages"]
        if self.new_message_ids:
            messages = [(*row[:MESSAGE_ID], str(uuid7()), *row[MESSAGE_ID + 1 :]) for row in messages]
        for row in messages:
            if row[SEQ] == builder.chat.head_seq:
                self.head_id = row[MESSAGE_ID]

        stored = rows | {"messages": messages}
        return {name: [(*owner, *row[2:]) for row in stored[name]] for name in stored}


async def find_existing(
    session: AsyncSession, user_id: str, chats: Iterable[ChatBuilder], mark: str | None
) -> list[Existing]:
    """The stored chats of a user that have an id, a source or a key of one of these. For `mark` see `plan`."""
    ids: list[str] = []
    sources: list[str] = []
    keys: list[str] = []
    for builder in chats:
        ids += _ids(builder)
        sources += [builder.chat.source] if builder.chat.source else []
        sources += [source] if mark and (source := _copy_source(builder, mark)) else []
        keys += [builder.chat.key] if builder.chat.key else []
    columns = (Chat.chat_id, Chat.source, Chat.key, Chat.deleted_at, Chat.version, Chat.tree_version)
    has_key = col(Chat.key).in_(keys) & col(Chat.deleted_at).is_(None)
    is_same = or_(col(Chat.chat_id).in_(ids), col(Chat.source).in_(sources), has_key)
    rows = await session.execute(select(*map(col, columns)).where(col(Chat.user_id) == user_id, is_same))
    return [Existing(row[0], row[1], row[2], row[3] is not None, row[4], row[5]) for row in rows]


def plan(
    builder: ChatBuilder, existing: Sequence[Existing], on_conflict: OnConflict, *, keep_ids: bool, mark: str | None
) -> Plan:
    """What to do with a chat, given the stored chats that it may be in conflict with.

    `mark` is part of the source of copies: by it the retry of a request finds the copies that it made before.
    """
    chat = builder.chat
    result = Plan(builder, "import", builder.chat_id, chat.source, chat.key, chat.version)
    ids = _ids(builder)
    same = [other for other in existing if other.chat_id in ids or (other.source and other.source == chat.source)]
    if same and on_conflict == "skip":
        result.action = "skip"
        return result
    if same and on_conflict == "copy":
        result.action, result.chat_id, result.new_message_ids = "copy", str(uuid7()), keep_ids
        result.source = _copy_source(builder, mark) if mark else None
        if result.source and any(other.source == result.source for other in existing):
            result.action = "skip"
            return result
    if same and on_conflict == "replace":
        result.action, result.replaces = "replace", [other.chat_id for other in same]
        if not keep_ids:
            result.chat_id = same[0].chat_id
        for other in same:
            if other.chat_id == result.chat_id:
                result.version, result.tree_version = max(result.version, other.version + 1), other.tree_version
    with_key = [other for other in existing if other.key == result.key and other.chat_id not in result.replaces]
    key_in_use = result.key is not None and chat.deleted_at is None and not all(other.is_deleted for other in with_key)
    if key_in_use and on_conflict == "copy":
        result.key = None
    elif key_in_use:
        result.action, result.reason = "fail", "key: another chat has it"
    return result


def _ids(builder: ChatBuilder) -> set[str]:
    """The ids by which a chat may be stored already: the id that it gets, and the one that it has in the file."""
    return {builder.chat_id, builder.chat.chat_id or builder.chat_id}


def _copy_source(builder: ChatBuilder, mark: str) -> str | None:
    """The source of a copy, which no other copy has."""
    source: Any = builder.chat.source or (f"chatkeep:{builder.chat_id}" if builder.chat.chat_id else None)
    return f"{source}#{mark}" if source else None
