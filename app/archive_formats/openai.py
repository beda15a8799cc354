"""OpenAI's messages, as fine-tuning takes them: JSON Lines, `{"messages": […]}` for each chat that has any.

The shapes are those of https://platform.openai.com/docs/api-reference/fine-tuning/chat-input and of the requests of
Chat Completions. Everything is said as it was stored, in order, also what the API would refuse to go on from.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from app.archive_formats import foreign_chat
from app.archive_formats.json_scanner import Broken
from app.archive_formats.records import Record
from app.archive_formats.schemas import Damaged
from app.archive_formats.source import Damage, Found, Source, check_whole, decoded
from app.codecs import chat_completions
from app.codecs.canonical import canonical_message
from app.db.types import iso, now


class OpenAI:
    """See ExportFormat. The tools of a chat are those in its metadata, under `tools`."""

    name = "openai"
    media_type = "application/jsonl"
    extension = "jsonl"
    lossless = False

    def write(self, records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
        tools: Any = None
        separator = b'{"messages":['
        begun = False
        for record in records:
            if record["record"] == "message":
                for message in messages_of(record):
                    yield separator + orjson.dumps(message)
                    separator, begun = b",", True
                continue
            if begun:
                yield b'],"tools":%b}\n' % orjson.dumps(tools) if tools else b"]}\n"
            tools, separator, begun = _tools(record), b'{"messages":[', False


def messages_of(message: Record) -> Iterator[dict[str, Any]]:
    """The messages of Chat Completions that a message is; none for one of another type."""
    if message["type"] == "message":
        yield from chat_completions.encode(canonical_message(message)) or [{"role": message["role"], "content": ""}]


def _tools(record: Record) -> Any:
    tools = record.get("metadata", {}).get("tools")
    return tools if isinstance(tools, list) else None


EXPORT = OpenAI()

_FIELDS = ("role", "content", "tool_calls", "tool_call_id", "name", "model", "function_call")


class OpenAIIn:
    """See ImportFormat. A file that is a list of messages is one chat."""

    name = "openai"
    native = False

    def recognise(self, source: Source) -> bool:
        names = source.names()
        others = names.keys() & {"conversationId", "conversation", "history", "record", "chat", "mapping"}
        return (names.get("messages") == b"[" and not others) or _is_message(names)

    def check(self, source: Source) -> None:
        check_whole(source)

    def read(self, source: Source) -> Iterator[Found | Damage]:
        bare = _is_message(source.names())
        try:
            if bare:
                yield from self._one(source)
                return
            for item in source.items():
                try:
                    raw = source.raw(item.span)
                    yield from list(self._chat(item.place, decoded(raw), raw))
                except Damaged as error:
                    yield Damage(item.place, str(error))
        except Broken as error:
            yield Damage(source.name, str(error))

    def _chat(self, place: str, value: Any, raw: bytes) -> Iterator[Found]:
        item = {"messages": value} if isinstance(value, list) else foreign_chat.object_of(value)
        messages = [_given(one) for one in foreign_chat.list_of(item.get("messages"), "messages")]
        details = {
            "title": foreign_chat.title(item.get("title")),
            "created_at": foreign_chat.moment(item.get("created_at")),
            **foreign_chat.rest(self.name, item, "id", "title", "messages", "created_at", "tools"),
        }
        if isinstance(item.get("tools"), list):
            details["metadata"] = {**details.get("metadata", {}), "tools": item["tools"]}
        yield from foreign_chat.chat(
            self.name, place, item.get("id"), raw, details, foreign_chat.in_a_row(messages), None
        )

    def _one(self, source: Source) -> Iterator[Found | Damage]:
        """A list of messages, as one chat: read message by message, since it may be long."""
        count = sum(1 for _ in source.items())
        at = iso(now())
        yield Found(
            source.place(1),
            {
                "record": "chat",
                "source": f"{self.name}:sha256-{source.sha256()}",
                "last_seq": count,
                "head_seq": count,
                **dict.fromkeys(("created_at", "updated_at", "last_activity_at"), at),
            },
        )
        for seq, item in enumerate(source.items(), 1):
            try:
                message = _given(source.value(item.span))
            except Damaged as error:
                yield Damage(item.place, str(error), own=False)
                return
            placed = {"seq": seq, "type": "message", "created_at": at} | ({"parent_seq": seq - 1} if seq > 1 else {})
            kept = {name: value for name, value in message.items() if value is not None or name == "content"}
            yield Found(item.place, {"record": "message", **kept, **placed})


def _is_message(names: dict[str, bytes]) -> bool:
    return "role" in names and bool({"content", "tool_calls"} & names.keys()) and "messages" not in names


def _given(value: Any) -> Record:
    message = foreign_chat.object_of(value, "a message")
    calls = message.get("tool_calls")
    called = message.get("function_call")
    if calls is None and isinstance(called, dict):
        calls = [{"type": "function", "function": called}]
    content = foreign_chat.content(message.get("content"))
    return {
        "name": foreign_chat.short(message.get("name")),
        **foreign_chat.role(message.get("role")),
        "content": "" if content is None and not calls else content,
        "tool_calls": calls if isinstance(calls, list) else None,
        "tool_call_id": foreign_chat.short(message.get("tool_call_id")),
        "model": foreign_chat.short(message.get("model")),
        **foreign_chat.rest("openai", message, *_FIELDS),
    }


IMPORT = OpenAIIn()
