"""LibreChat's export of a chat as JSON, with its messages in a list, or each with those that follow it in `children`.

See https://www.librechat.ai/docs/features/import_convos.
"""

from collections.abc import Iterator
from typing import Any

from app.archive_formats import foreign_chat
from app.archive_formats.foreign_chat import Node
from app.archive_formats.item_format import ItemFormat
from app.archive_formats.records import Record
from app.archive_formats.source import Found

_CHAT = ("conversationId", "title", "messages", "exportAt", "branches", "recursive", "createdAt", "updatedAt", "tags")
_MESSAGE = (
    "_id",
    "__v",
    "messageId",
    "conversationId",
    "parentMessageId",
    "createdAt",
    "updatedAt",
    "isCreatedByUser",
    "text",
    "content",
    "model",
    "tokenCount",
    "user",
    "children",
    "unfinished",
    "error",
)


class LibreChat(ItemFormat):
    """See ImportFormat."""

    name = "librechat"

    def knows(self, names: dict[str, bytes]) -> bool:
        return "conversationId" in names and names.get("messages") == b"["

    def chat(self, place: str, item: Record, raw: bytes) -> Iterator[Found]:
        nodes = list(_nodes(foreign_chat.list_of(item.get("messages"), "messages")))
        details = {
            "title": foreign_chat.title(item.get("title")),
            "platform": "librechat",
            "tags": foreign_chat.tags(item.get("tags")),
            "created_at": foreign_chat.moment(item.get("createdAt")),
            "updated_at": foreign_chat.moment(item.get("updatedAt")),
            **foreign_chat.rest(self.name, item, *_CHAT),
        }
        yield from foreign_chat.chat(self.name, place, item.get("conversationId"), raw, details, nodes, None)


def _nodes(messages: list[Any]) -> Iterator[Node]:
    pending: list[tuple[Any, str | None]] = [(message, None) for message in reversed(messages)]
    number = 0
    while pending:
        given, above = pending.pop()
        message = foreign_chat.object_of(given, "a message")
        number += 1
        name = message.get("messageId")
        name = name if isinstance(name, str) and name else f"#{number}"
        parent = message.get("parentMessageId")
        at = foreign_chat.moment(message.get("createdAt"))
        yield Node(name, above or (parent if isinstance(parent, str) else None), _message(message), at)
        children = message.get("children")
        pending += [(child, name) for child in reversed(children if isinstance(children, list) else [])]


def _message(message: Record) -> Record:
    text = message.get("text")
    content = foreign_chat.content(message.get("content")) if message.get("content") else None
    if isinstance(text, str) and (text or content is None):
        content = text
    role = foreign_chat.role("user" if message.get("isCreatedByUser") is True else "assistant")
    failed = "failed" if message.get("error") is True else None
    return {
        **role,
        "content": [_part(part) for part in content] if isinstance(content, list) else content or "",
        "model": foreign_chat.short(message.get("model")),
        "tokens": foreign_chat.tokens(message.get("tokenCount")),
        "status": failed or ("incomplete" if message.get("unfinished") is True else None),
        **foreign_chat.rest("librechat", message, *_MESSAGE),
    }


def _part(part: Record) -> Record:
    """A part; the text of one may be an object that has it as its `value`."""
    text = part.get("text")
    if part.get("type") == "text" and isinstance(text, dict) and isinstance(text.get("value"), str):
        return {**part, "text": text["value"]}
    return part


IMPORT = LibreChat()
