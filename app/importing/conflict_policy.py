"""What is to be done with a chat that comes in, given what its user has by now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils import uuid7

from app.importing.chat_builder import Intake, Row, Rows
from app.models import Chat

OnConflict = Literal["skip", "replace", "copy"]
Action = Literal["import", "skip", "replace", "copy", "fail"]
ON_CONFLICT: tuple[str, ...] = get_args(OnConflict)

_SEQ, _MESSAGE_ID = 2, 3


@dataclass(frozen=True, slots=True)
class Existing:
    """A chat that is there already."""

    chat_id: str
    source: str | None
    key: str | None
    is_deleted: bool
    version: int
    tree: int


@dataclass(slots=True)
class Plan:
    """What happens to a chat that comes in.

    Attributes:
        chat_id, source, key, version: what it will have.
        tree: the number of its tree is to be higher, where there was one with this id before; 0 where there was none.
        replaces: the chats that go for it.
        fresh: whether its messages get new ids, those it came with being taken.
    """

    intake: Intake
    action: Action
    chat_id: str
    source: str | None
    key: str | None
    version: int
    tree: int = 0
    replaces: Sequence[str] = ()
    fresh: bool = False
    reason: str = ""
    head_id: str | None = None

    def renamed(self, rows: Rows) -> Rows:
        """The rows of the chat, with the ids that it will have."""
        intake = self.intake
        if self.chat_id == intake.chat_id and not self.fresh:
            self.head_id = intake.head_id
            return rows
        owner = (intake.user_id, self.chat_id)
        messages = rows.messages
        if self.fresh:
            messages = [(*row[:_MESSAGE_ID], str(uuid7()), *row[_MESSAGE_ID + 1 :]) for row in messages]
        for row in messages:
            if row[_SEQ] == intake.chat.head_seq:
                self.head_id = row[_MESSAGE_ID]

        def of(owned: Iterable[Row]) -> list[Row]:
            return [(*owner, *row[2:]) for row in owned]

        return Rows(of(messages), of(rows.segments), of(rows.revisions), of(rows.feedback))


async def existing(session: AsyncSession, user_id: str, chats: Iterable[Intake], mark: str | None) -> list[Existing]:
    """The chats of a user that any of these could be, or whose key one of these has."""
    ids: list[str] = []
    sources: list[str] = []
    keys: list[str] = []
    for one in chats:
        ids += _ids(one)
        sources += [one.chat.source] if one.chat.source else []
        sources += [copied] if mark and (copied := _copy_source(one, mark)) else []
        keys += [one.chat.key] if one.chat.key else []
    statement = select(
        col(Chat.chat_id),
        col(Chat.source),
        col(Chat.key),
        col(Chat.deleted_at),
        col(Chat.version),
        col(Chat.tree_version),
    ).where(
        col(Chat.user_id) == user_id,
        or_(
            col(Chat.chat_id).in_(ids),
            col(Chat.source).in_(sources),
            col(Chat.key).in_(keys) & col(Chat.deleted_at).is_(None),
        ),
    )
    rows = await session.execute(statement)
    return [Existing(row[0], row[1], row[2], row[3] is not None, row[4], row[5]) for row in rows]


def plan(
    intake: Intake, there: Sequence[Existing], on_conflict: OnConflict, *, keep_ids: bool, mark: str | None
) -> Plan:
    """What to do with a chat, given the chats that it could be.

    `mark` tells the copies that one request makes from those of others, so that none is made twice by it.
    """
    chat = intake.chat
    made = Plan(intake, "import", intake.chat_id, chat.source, chat.key, chat.version)
    same = [one for one in there if one.chat_id in _ids(intake) or (one.source and one.source == chat.source)]
    if same and on_conflict == "skip":
        made.action = "skip"
        return made
    if same and on_conflict == "copy":
        made.action, made.chat_id, made.fresh = "copy", str(uuid7()), keep_ids
        made.source = _copy_source(intake, mark) if mark else None
        if made.source and any(one.source == made.source for one in there):
            made.action = "skip"
            return made
    if same and on_conflict == "replace":
        made.action, made.replaces = "replace", [one.chat_id for one in same]
        if not keep_ids:
            made.chat_id = same[0].chat_id
        for one in same:
            if one.chat_id == made.chat_id:
                made.version, made.tree = max(made.version, one.version + 1), one.tree
    taken = (
        made.key is not None
        and chat.deleted_at is None
        and any(one.key == made.key and not one.is_deleted and one.chat_id not in made.replaces for one in there)
    )
    if taken and on_conflict == "copy":
        made.key = None
    elif taken:
        made.action, made.reason = "fail", "key: another chat has it"
    return made


def _ids(intake: Intake) -> set[str]:
    """The ids under which a chat is there already: that which it will have, and that which it had where it comes from,
    which may be here."""
    return {intake.chat_id, intake.chat.chat_id or intake.chat_id}


def _copy_source(intake: Intake, mark: str) -> str | None:
    """Where a copy comes from: no other copy comes from there."""
    source: Any = intake.chat.source or (f"chatkeep:{intake.chat_id}" if intake.chat.chat_id else None)
    return f"{source}#{mark}" if source else None
