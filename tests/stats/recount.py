"""What the statistics should say, counted in plain Python from the chats and messages themselves."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import SQLModel, col

from app.models import Change, Chat, Message, UsageTimeBucket
from tests.callers import Json

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TOKENS = ("input_tokens", "output_tokens", "total_tokens")


def tokens(message: Message) -> tuple[int, int, int]:
    """The input, output and total tokens of a message."""
    given = (message.input_tokens or 0, message.output_tokens or 0)
    return (*given, sum(given) if message.tokens is None else message.tokens)


def time_bucket(moment: datetime) -> int:
    """The number of the quarter of an hour since 1970."""
    return (moment - EPOCH) // timedelta(minutes=15)


async def rows(app: FastAPI, table: type[SQLModel], user_id: str) -> list[Any]:
    """A user's rows of a table."""
    async with app.state.services.db.read() as session:
        found = await session.execute(select(table).where(col(table.user_id) == user_id))  # type: ignore[attr-defined]
        return list(found.scalars())


async def recounted(app: FastAPI, user_id: str) -> Json:
    """What `GET /stats` should answer for a user, the lists as objects by name."""
    chats, messages = await rows(app, Chat, user_id), await rows(app, Message, user_id)
    platforms = {chat.chat_id: chat.platform for chat in chats}
    by: dict[str, Any] = {kind: defaultdict(lambda: [0, 0, 0, 0]) for kind in ("role", "model", "platform")}
    conversations: dict[str | None, int] = defaultdict(int)
    for chat in chats:
        conversations[chat.platform] += 1
        by["platform"][chat.platform][0] += 0
    per_chat: dict[str, int] = defaultdict(int)
    for message in messages:
        per_chat[message.chat_id] += 1
        names = {"role": message.role, "model": message.model, "platform": platforms[message.chat_id]}
        for kind, name in names.items():
            sums = by[kind][name]
            sums[:] = [had + more for had, more in zip(sums, (1, *tokens(message)), strict=True)]
    total = [sum(sums[place] for sums in by["role"].values()) for place in range(4)]
    deleted = sum(chat.deleted_at is not None for chat in chats)
    moments = [change.at for change in await rows(app, Change, user_id)]
    longest = max(per_chat.values(), default=0)
    return {
        "total_conversations": len(chats),
        "active_conversations": len(chats) - deleted,
        "deleted_conversations": deleted,
        "total_messages": total[0],
        "total_input_tokens": total[1],
        "total_output_tokens": total[2],
        "total_tokens": total[3],
        "average_messages_per_conversation": total[0] / len(chats) if chats else 0,
        "average_tokens_per_conversation": total[3] / len(chats) if chats else 0,
        "longest_conversation_messages": longest,
        "longest_conversation_user": user_id if longest else None,
        "first_activity_at": min(moments, default=None),
        "last_activity_at": max(moments, default=None),
        "by_role": {name: dict(zip(("messages", *TOKENS), sums, strict=True)) for name, sums in by["role"].items()},
        "by_model": {name: dict(zip(("messages", *TOKENS), sums, strict=True)) for name, sums in by["model"].items()},
        "by_platform": {
            name: {"conversations": conversations[name], **dict(zip(("messages", *TOKENS), sums, strict=True))}
            for name, sums in by["platform"].items()
        },
    }


def named(answer: Json) -> Json:
    """An answer of `GET /stats` with its lists as objects by name, and its moments read."""
    found = dict(answer)
    for kind in ("role", "model", "platform"):
        entries = [dict(entry) for entry in answer[f"by_{kind}"]]
        found[f"by_{kind}"] = {entry.pop(kind): entry for entry in entries}
        assert len(found[f"by_{kind}"]) == len(entries)
        assert [entry["messages"] for entry in entries] == sorted((e["messages"] for e in entries), reverse=True)
    for name in ("first_activity_at", "last_activity_at"):
        found[name] = answer[name] and datetime.fromisoformat(answer[name])
    return found


async def time_buckets(app: FastAPI, user_id: str) -> dict[int, list[int]]:
    """The quarters of an hour as the counters have them, those with nothing left out."""
    names = ("chats", "messages", *TOKENS)
    found = {
        row.time_bucket: [getattr(row, name) for name in names] for row in await rows(app, UsageTimeBucket, user_id)
    }
    return {time_bucket: sums for time_bucket, sums in found.items() if any(sums)}


async def recounted_time_buckets(app: FastAPI, user_id: str) -> dict[int, list[int]]:
    """The same from the chats and messages."""
    found: dict[int, list[int]] = defaultdict(lambda: [0] * 5)
    for chat in await rows(app, Chat, user_id):
        found[time_bucket(chat.created_at)][0] += 1
    for message in await rows(app, Message, user_id):
        sums = found[time_bucket(message.created_at)]
        sums[1:] = [had + more for had, more in zip(sums[1:], (1, *tokens(message)), strict=True)]
    return dict(found)
