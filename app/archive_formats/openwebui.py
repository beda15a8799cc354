"""Open WebUI's export of chats: a list of rows whose `chat` has its messages as a tree, `history`.

See https://docs.openwebui.com/features/chat-conversations/data-controls/import-export/. The older form, in which the
items are the `chat` itself, is read too.
"""

from collections.abc import Iterator
from typing import Any

from app.archive_formats import foreign_chat
from app.archive_formats.foreign_chat import MessageNode
from app.archive_formats.item_format import ItemFormat
from app.archive_formats.records import Record
from app.archive_formats.source_file import LocatedRecord

_ROW = tuple("id user_id title chat created_at updated_at pinned archived meta summary share_id".split())
_CHAT = ("id", "title", "history", "messages", "timestamp", "tags", "files", "userId")
_MESSAGE = (
    *"id parentId childrenIds role content timestamp model".split(),
    *"usage info done error lastSentence userContext files".split(),
)


class OpenWebUI(ItemFormat):
    name = "openwebui"

    def matches_members(self, members: dict[str, bytes]) -> bool:
        return members.get("chat") == b"{" or members.get("history") == b"{"

    def chat(self, location: str, item: Record, raw: bytes) -> Iterator[LocatedRecord]:
        row, chat = (item, item["chat"]) if isinstance(item.get("chat"), dict) else ({}, item)
        history = chat.get("history")
        history = history if isinstance(history, dict) else {}
        nodes = list(_nodes(history["messages"] if "messages" in history else chat.get("messages")))
        meta = row.get("meta")
        meta = meta if isinstance(meta, dict) else {}
        others = {**{name: value for name, value in chat.items() if name not in _CHAT}, **row}
        details = {
            "title": foreign_chat.title_text(row.get("title") or chat.get("title")),
            "summary": foreign_chat.short_text(row.get("summary"), 65536),
            "platform": "openwebui",
            "tags": foreign_chat.tag_names(chat.get("tags") or meta.get("tags")),
            "is_pinned": row.get("pinned") is True,
            "is_archived": row.get("archived") is True,
            "created_at": foreign_chat.parse_timestamp(row.get("created_at") or chat.get("timestamp")),
            "updated_at": foreign_chat.parse_timestamp(row.get("updated_at")),
            **foreign_chat.extra_metadata(self.name, others, *_ROW),
        }
        head = history.get("currentId")
        head = head if isinstance(head, str) else None
        foreign_id = row.get("id") or chat.get("id")
        yield from foreign_chat.chat_records(self.name, location, foreign_id, raw, details, nodes, head)


def _nodes(messages: Any) -> Iterator[MessageNode]:
    if isinstance(messages, dict):
        for message_id, value in messages.items():
            message = foreign_chat.require_object(value, "a message")
            parent = message.get("parentId")
            yield _node(message_id, parent if isinstance(parent, str) else None, message)
        return
    previous = None
    for index, value in enumerate(foreign_chat.require_list(messages, "messages")):
        message = foreign_chat.require_object(value, "a message")
        message_id = message["id"] if isinstance(message.get("id"), str) else f"#{index}"
        parent = message.get("parentId", previous)
        yield _node(message_id, parent if isinstance(parent, str) else None, message)
        previous = message_id


def _node(message_id: str, parent: str | None, message: Record) -> MessageNode:
    return MessageNode(message_id, parent, _message(message), foreign_chat.parse_timestamp(message.get("timestamp")))


def _message(message: Record) -> Record:
    content = foreign_chat.message_content(message.get("content"))
    files = message.get("files")
    parts = [_file(file) for file in (files if isinstance(files, list) else []) if isinstance(file, dict)]
    if parts:
        texts = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
        content = [*texts, *parts]
    usage = message.get("usage") or message.get("info")
    usage = usage if isinstance(usage, dict) else {}
    unfinished = "incomplete" if message.get("done") is False else None
    return {
        **foreign_chat.role_fields(message.get("role")),
        "content": "" if content is None else content,
        "model": foreign_chat.short_text(message.get("model")),
        "tokens": foreign_chat.token_count(usage.get("total_tokens")),
        "input_tokens": foreign_chat.token_count(usage.get("prompt_tokens", usage.get("prompt_eval_count"))),
        "output_tokens": foreign_chat.token_count(usage.get("completion_tokens", usage.get("eval_count"))),
        "status": "failed" if message.get("error") else unfinished,
        **foreign_chat.extra_metadata("openwebui", message, *_MESSAGE),
    }


def _file(file: Record) -> Record:
    """A file as a content part: an image as it would be sent to a model, all else as it is."""
    if file.get("type") == "image" and isinstance(file.get("url"), str):
        return {"type": "image_url", "image_url": {"url": file["url"]}}
    return {"type": "file", **file}


IMPORT = OpenWebUI()
