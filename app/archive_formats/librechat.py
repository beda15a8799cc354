"""LibreChat's export of a chat as JSON, with its messages in a list or nested in `children`.

See https://www.librechat.ai/docs/features/import_convos.
"""

from collections.abc import Iterator
from typing import Any

from app.archive_formats import foreign_chat
from app.archive_formats.foreign_chat import MessageNode
from app.archive_formats.item_format import ItemFormat
from app.archive_formats.records import Record
from app.archive_formats.source_file import LocatedRecord

_CHAT = tuple("conversationId title messages exportAt branches recursive createdAt updatedAt tags isArchived".split())
_MESSAGE = (
    *"_id __v messageId conversationId parentMessageId createdAt updatedAt isCreatedByUser".split(),
    *"text content model tokenCount user children unfinished error".split(),
)


class LibreChat(ItemFormat):
    name = "librechat"

    def matches_members(self, members: dict[str, bytes]) -> bool:
        return "conversationId" in members and members.get("messages") == b"["

    def chat(self, location: str, item: Record, raw: bytes) -> Iterator[LocatedRecord]:
        nodes = list(_nodes(foreign_chat.require_list(item.get("messages"), "messages")))
        details = {
            "title": foreign_chat.title_text(item.get("title")),
            "platform": "librechat",
            "tags": foreign_chat.tag_names(item.get("tags")),
            "is_archived": item.get("isArchived") is True,
            "created_at": foreign_chat.parse_timestamp(item.get("createdAt")),
            "updated_at": foreign_chat.parse_timestamp(item.get("updatedAt")),
            **foreign_chat.extra_metadata(self.name, item, *_CHAT),
        }
        yield from foreign_chat.chat_records(self.name, location, item.get("conversationId"), raw, details, nodes)


def _nodes(messages: list[Any]) -> Iterator[MessageNode]:
    pending: list[tuple[Any, str | None]] = [(message, None) for message in reversed(messages)]
    number = 0
    while pending:
        value, parent_id = pending.pop()
        message = foreign_chat.require_object(value, "a message")
        number += 1
        message_id = message.get("messageId")
        message_id = message_id if isinstance(message_id, str) and message_id else f"#{number}"
        parent = message.get("parentMessageId")
        parent_id = parent_id or (parent if isinstance(parent, str) else None)
        timestamp = foreign_chat.parse_timestamp(message.get("createdAt"))
        yield MessageNode(message_id, parent_id, _message(message), timestamp)
        children = message.get("children")
        pending += [(child, message_id) for child in reversed(children if isinstance(children, list) else [])]


def _message(message: Record) -> Record:
    text = message.get("text")
    content = foreign_chat.message_content(message.get("content")) if message.get("content") else None
    if isinstance(text, str) and (text or content is None):
        content = text
    role = foreign_chat.role_fields("user" if message.get("isCreatedByUser") is True else "assistant")
    failed = "failed" if message.get("error") is True else None
    return {
        **role,
        "content": [_part(part) for part in content] if isinstance(content, list) else content or "",
        "model": foreign_chat.short_text(message.get("model")),
        "tokens": foreign_chat.token_count(message.get("tokenCount")),
        "status": failed or ("incomplete" if message.get("unfinished") is True else None),
        **foreign_chat.extra_metadata("librechat", message, *_MESSAGE),
    }


def _part(part: Record) -> Record:
    """A content part, whose text may be an object with the text as its `value`."""
    text = part.get("text")
    if part.get("type") == "text" and isinstance(text, dict) and isinstance(text.get("value"), str):
        return {**part, "text": text["value"]}
    return part


IMPORT = LibreChat()
