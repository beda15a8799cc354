"""OpenAI's messages, exported and imported: JSON Lines for fine-tuning, `{"messages": […]}` for each chat that has any.

The shapes are those of https://platform.openai.com/docs/api-reference/fine-tuning/chat-input and of the requests of
Chat Completions. Everything is written as it was stored, in order, also what the API would refuse to go on from.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from app.archive_formats import ExportFormat, ImportFormat, foreign_chat
from app.archive_formats.json_scanner import MalformedJson
from app.archive_formats.records import Record
from app.archive_formats.schemas import InvalidRecord
from app.archive_formats.source_file import LocatedRecord, ReadFailure, SourceFile, decode_json
from app.codecs import chat_completions
from app.codecs.canonical import canonical_message
from app.db.timestamps import now, to_iso


def write(records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
    """The tools of a chat are those in its metadata, under `tools`."""
    tools: Any = None
    separator = b'{"messages":['
    started = False
    for record in records:
        if record["record"] == "message":
            for message in _chat_completions(record):
                yield separator + orjson.dumps(message)
                separator, started = b",", True
            continue
        if started:
            has_tools = isinstance(tools, list) and bool(tools)
            yield b'],"tools":%b}\n' % orjson.dumps(tools) if has_tools else b"]}\n"
        tools, separator, started = record.get("metadata", {}).get("tools"), b'{"messages":[', False


def _chat_completions(message: Record) -> Iterator[dict[str, Any]]:
    """The messages of Chat Completions that a message is; none for one of another type."""
    if message["type"] == "message":
        yield from chat_completions.encode(canonical_message(message)) or [{"role": message["role"], "content": ""}]


EXPORT = ExportFormat("openai", "application/jsonl", "jsonl", write)

_MESSAGE_FIELDS = ("role", "content", "tool_calls", "tool_call_id", "name", "model", "function_call")


class OpenAIImport(ImportFormat):
    """A file that is a list of messages is one chat."""

    name = "openai"

    def matches(self, source: SourceFile) -> bool:
        members = source.first_members()
        others = members.keys() & {"conversationId", "conversation", "history", "record", "chat", "mapping"}
        return (members.get("messages") == b"[" and not others) or _is_message(members)

    def read(self, source: SourceFile) -> Iterator[LocatedRecord | ReadFailure]:
        try:
            if _is_message(source.first_members()):
                yield from self._single_chat(source)
                return
            for item in source.items():
                try:
                    raw = source.raw(item.span)
                    yield from list(self._chat(item.location, decode_json(raw), raw))
                except InvalidRecord as error:
                    yield ReadFailure(item.location, str(error))
        except MalformedJson as error:
            yield ReadFailure(source.name, str(error))

    def _chat(self, location: str, value: Any, raw: bytes) -> Iterator[LocatedRecord]:
        item = {"messages": value} if isinstance(value, list) else foreign_chat.require_object(value)
        messages = [_message(message) for message in foreign_chat.require_list(item.get("messages"), "messages")]
        details = {
            "title": foreign_chat.title_text(item.get("title")),
            "created_at": foreign_chat.parse_timestamp(item.get("created_at")),
            **foreign_chat.extra_metadata(self.name, item, "id", "title", "messages", "created_at", "tools"),
        }
        if isinstance(item.get("tools"), list):
            details["metadata"] = {**details.get("metadata", {}), "tools": item["tools"]}
        nodes = foreign_chat.linear_nodes(messages)
        yield from foreign_chat.chat_records(self.name, location, item.get("id"), raw, details, nodes)

    def _single_chat(self, source: SourceFile) -> Iterator[LocatedRecord | ReadFailure]:
        """A list of messages, as one chat: read message by message, since it may be long."""
        count = sum(1 for _ in source.items())
        timestamp = to_iso(now())
        chat = {"record": "chat", "source": f"{self.name}:sha256-{source.sha256()}", "last_seq": count}
        timestamps = dict.fromkeys(("created_at", "updated_at", "last_activity_at"), timestamp)
        yield LocatedRecord(source.location(1), {**chat, "head_seq": count, **timestamps})
        for seq, item in enumerate(source.items(), 1):
            try:
                message = _message(source.value(item.span))
            except InvalidRecord as error:
                yield ReadFailure(item.location, str(error), starts_chat=False)
                return
            fields = {name: value for name, value in message.items() if value is not None or name == "content"}
            fields |= {"record": "message", "seq": seq, "type": "message", "created_at": timestamp}
            yield LocatedRecord(item.location, fields | ({"parent_seq": seq - 1} if seq > 1 else {}))


def _is_message(members: dict[str, bytes]) -> bool:
    return "role" in members and bool({"content", "tool_calls"} & members.keys()) and "messages" not in members


def _message(value: Any) -> Record:
    message = foreign_chat.require_object(value, "a message")
    calls = message.get("tool_calls")
    function = message.get("function_call")
    if calls is None and isinstance(function, dict):
        calls = [{"type": "function", "function": function}]
    content = foreign_chat.message_content(message.get("content"))
    return {
        "name": foreign_chat.short_text(message.get("name")),
        **foreign_chat.role_fields(message.get("role")),
        "content": "" if content is None and not calls else content,
        "tool_calls": calls if isinstance(calls, list) else None,
        "tool_call_id": foreign_chat.short_text(message.get("tool_call_id")),
        "model": foreign_chat.short_text(message.get("model")),
        **foreign_chat.extra_metadata("openai", message, *_MESSAGE_FIELDS),
    }


IMPORT = OpenAIImport()
