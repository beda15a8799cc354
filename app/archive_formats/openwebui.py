"""Open WebUI's export of chats: a list of rows whose `chat` has its messages as a tree, the `history`.

See https://docs.openwebui.com/features/chat-conversations/data-controls/import-export/. The older form, in which the
items are the `chat` itself, is read too.
"""

from collections.abc import Iterator
from typing import Any

from app.archive_formats import foreign_chat
from app.archive_formats.foreign_chat import Node
from app.archive_formats.item_format import ItemFormat
from app.archive_formats.records import Record
from app.archive_formats.source import Found

_ROW = ("id", "user_id", "title", "chat", "created_at", "updated_at", "pinned", "meta", "summary", "share_id")
_CHAT = ("id", "title", "history", "messages", "timestamp", "tags", "files", "userId")
_MESSAGE = (
    "id",
    "parentId",
    "childrenIds",
    "role",
    "content",
    "timestamp",
    "model",
    "usage",
    "info",
    "done",
    "error",
    "lastSentence",
    "userContext",
    "files",
)


class OpenWebUI(ItemFormat):
    """See ImportFormat."""

    name = "openwebui"

    def knows(self, names: dict[str, bytes]) -> bool:
        return names.get("chat") == b"{" or names.get("history") == b"{"

    def chat(self, place: str, item: Record, raw: bytes) -> Iterator[Found]:
        row, chat = (item, item["chat"]) if isinstance(item.get("chat"), dict) else ({}, item)
        history = chat.get("history")
        history = history if isinstance(history, dict) else {}
        nodes = list(_nodes(history["messages"] if "messages" in history else chat.get("messages")))
        meta = row.get("meta")
        meta = meta if isinstance(meta, dict) else {}
        unnamed = {**{name: value for name, value in chat.items() if name not in _CHAT}, **row}
        details = {
            "title": foreign_chat.title(row.get("title") or chat.get("title")),
            "summary": foreign_chat.short(row.get("summary"), 65536),
            "platform": "openwebui",
            "tags": foreign_chat.tags(chat.get("tags") or meta.get("tags")),
            "is_pinned": row.get("pinned") is True,
            "created_at": foreign_chat.moment(row.get("created_at") or chat.get("timestamp")),
            "updated_at": foreign_chat.moment(row.get("updated_at")),
            **foreign_chat.rest(self.name, unnamed, *_ROW),
        }
        head = history.get("currentId")
        id_there = row.get("id") or chat.get("id")
        yield from foreign_chat.chat(
            self.name, place, id_there, raw, details, nodes, head if isinstance(head, str) else None
        )


def _nodes(messages: Any) -> Iterator[Node]:
    if isinstance(messages, dict):
        for name, given in messages.items():
            message = foreign_chat.object_of(given, "a message")
            parent = message.get("parentId")
            yield _node(name, parent if isinstance(parent, str) else None, message)
        return
    before = None
    for number, given in enumerate(foreign_chat.list_of(messages, "messages")):
        message = foreign_chat.object_of(given, "a message")
        name = message["id"] if isinstance(message.get("id"), str) else f"#{number}"
        parent = message.get("parentId", before)
        yield _node(name, parent if isinstance(parent, str) else None, message)
        before = name


def _node(name: str, parent: str | None, message: Record) -> Node:
    return Node(name, parent, _message(message), foreign_chat.moment(message.get("timestamp")))


def _message(message: Record) -> Record:
    content = foreign_chat.content(message.get("content"))
    files = message.get("files")
    parts = [_file(one) for one in (files if isinstance(files, list) else []) if isinstance(one, dict)]
    if parts:
        texts = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
        content = [*texts, *parts]
    usage = message.get("usage") or message.get("info")
    usage = usage if isinstance(usage, dict) else {}
    unfinished = "incomplete" if message.get("done") is False else None
    return {
        **foreign_chat.role(message.get("role")),
        "content": "" if content is None else content,
        "model": foreign_chat.short(message.get("model")),
        "tokens": foreign_chat.tokens(usage.get("total_tokens")),
        "input_tokens": foreign_chat.tokens(usage.get("prompt_tokens", usage.get("prompt_eval_count"))),
        "output_tokens": foreign_chat.tokens(usage.get("completion_tokens", usage.get("eval_count"))),
        "status": "failed" if message.get("error") else unfinished,
        **foreign_chat.rest("openwebui", message, *_MESSAGE),
    }


def _file(file: Record) -> Record:
    """A file as a part: an image as it would be sent to a model, all else as it is."""
    if file.get("type") == "image" and isinstance(file.get("url"), str):
        return {"type": "image_url", "image_url": {"url": file["url"]}}
    return {"type": "file", **file}


IMPORT = OpenWebUI()
