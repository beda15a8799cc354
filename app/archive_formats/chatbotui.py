"""Chatbot UI's export (the versions before its database): chats in `history`, or a bare list of them (version 1).

The shapes are those of its `types/export.ts`. A chat's `prompt` is its system prompt, so it becomes a system message;
the name of the folder that it is in goes into its metadata.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from app.archive_formats import foreign_chat
from app.archive_formats.item_format import ItemFormat, read_chat
from app.archive_formats.json_scanner import Span
from app.archive_formats.records import Record
from app.archive_formats.schemas import InvalidRecord
from app.archive_formats.source_file import JsonItem, LocatedRecord, ReadFailure, SourceFile


class ChatbotUI(ItemFormat):
    name = "chatbotui"

    def matches_members(self, members: dict[str, bytes]) -> bool:
        in_history = members.get("history") == b"[" and "folders" in members
        return in_history or (members.get("messages") == b"[" and {"id", "name"} <= members.keys())

    def read_item(self, source: SourceFile, item: JsonItem) -> Iterator[LocatedRecord | ReadFailure]:
        try:
            members = dict(source.members(item.span)) if source.first_byte(item.span) == b"{" else {}
            history = members.get(b'"history"')
            if history is not None and history.first_byte != b"[":
                raise InvalidRecord("history: no list")
            chats = iter([item]) if history is None else _chats(source, history)
            folders = {} if history is None else _folders(source, members.get(b'"folders"'))
        except InvalidRecord as error:
            yield ReadFailure(item.location, str(error))
            return
        for chat in chats:
            yield from read_chat(source, chat, partial(self.chat, folders=folders))

    def chat(
        self, location: str, item: Record, raw: bytes, folders: Mapping[str, str] | None = None
    ) -> Iterator[LocatedRecord]:
        model = item.get("model")
        model = foreign_chat.short_text(model.get("id") if isinstance(model, dict) else model)
        values = foreign_chat.require_list(item.get("messages"), "messages")
        messages = [_message(foreign_chat.require_object(value, "a message"), model) for value in values]
        prompt = item.get("prompt")
        if isinstance(prompt, str) and prompt:
            messages.insert(0, {"role": "system", "content": prompt})
        folder = item.get("folderId")
        others = {**item, "folder": (folders or {}).get(str(folder)) if folder is not None else None}
        details = {
            "title": foreign_chat.title_text(item.get("name")),
            "platform": "chatbotui",
            **foreign_chat.extra_metadata(self.name, others, "id", "name", "messages", "prompt", "folderId"),
        }
        nodes = foreign_chat.linear_nodes(messages)
        yield from foreign_chat.chat_records(self.name, location, item.get("id"), raw, details, nodes)


def _chats(source: SourceFile, history: Span) -> Iterator[JsonItem]:
    for number, span in enumerate(source.elements(history), 1):
        yield JsonItem(source.location(span.line, number), span)


def _folders(source: SourceFile, span: Span | None) -> dict[str, str]:
    value = source.value(span) if span is not None else []
    folders = (folder for folder in value if isinstance(folder, dict)) if isinstance(value, list) else ()
    return {str(folder.get("id")): folder["name"] for folder in folders if isinstance(folder.get("name"), str)}


def _message(message: Record, model: str | None) -> Record:
    role = foreign_chat.role_fields(message.get("role"))
    content = foreign_chat.message_content(message.get("content"))
    handled = ("role", "content", "type") if message.get("type") == "text" else ("role", "content")
    return {
        **role,
        "content": "" if content is None else content,
        "model": model if role["role"] == "assistant" else None,
        **foreign_chat.extra_metadata("chatbotui", message, *handled),
    }


IMPORT = ChatbotUI()
