"""ChatGPT's data export: `conversations.json`, a list of chats, each with its messages as a tree, `mapping`.

The shape was read off exports; OpenAI publishes no description. Nodes without a message, and the empty system message
that every chat begins with, are left out.
"""

from collections.abc import Iterator
from typing import Any

from app.archive_formats import foreign_chat
from app.archive_formats.foreign_chat import MessageNode
from app.archive_formats.item_format import ItemFormat
from app.archive_formats.records import Record
from app.archive_formats.schemas import InvalidRecord
from app.archive_formats.source_file import LocatedRecord

_STATUSES = {"in_progress": "incomplete", "finished_partial_completion": "incomplete"}


class ChatGPT(ItemFormat):
    name = "chatgpt"

    def matches_members(self, members: dict[str, bytes]) -> bool:
        return members.get("mapping") == b"{"

    def chat(self, location: str, item: Record, raw: bytes) -> Iterator[LocatedRecord]:
        mapping = foreign_chat.require_object(item.get("mapping"), "mapping")
        nodes = [_node(str(node_id), node) for node_id, node in mapping.items()]
        details = {
            "title": foreign_chat.title_text(item.get("title")),
            "platform": "chatgpt",
            "is_pinned": item.get("is_starred") is True,
            "is_archived": item.get("is_archived") is True,
            "created_at": foreign_chat.parse_timestamp(item.get("create_time")),
            "updated_at": foreign_chat.parse_timestamp(item.get("update_time")),
            **foreign_chat.extra_metadata(self.name, item, *_CHAT_FIELDS),
        }
        head = _nearest_message(item.get("current_node"), {node.id: node for node in nodes})
        foreign_id = item.get("conversation_id") or item.get("id")
        yield from foreign_chat.chat_records(self.name, location, foreign_id, raw, details, nodes, head)


_CHAT_FIELDS = (
    *"mapping title create_time update_time conversation_id id current_node is_starred is_archived".split(),
)


def _node(node_id: str, value: Any) -> MessageNode:
    node = foreign_chat.require_object(value, "a node of mapping")
    parent = node.get("parent")
    if "message" not in node:
        raise InvalidRecord("a node of mapping has no message")
    parent = parent if isinstance(parent, str) else None
    if node["message"] is None:
        return MessageNode(node_id, parent, None)
    message = foreign_chat.require_object(node["message"], "a message of mapping")
    return MessageNode(node_id, parent, _message(message), foreign_chat.parse_timestamp(message.get("create_time")))


def _message(message: Record) -> Record | None:
    author = message.get("author")
    author = author if isinstance(author, dict) else {}
    value = message.get("content")
    content, others = _content(value if isinstance(value, dict) else {"content_type": "text", "parts": [value]})
    role = foreign_chat.role_fields(author.get("role"))
    if role["role"] == "system" and content == "":
        return None
    metadata = message.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    others = {**metadata, **others, "recipient": message.get("recipient"), "end_turn": message.get("end_turn")}
    if others["recipient"] == "all":
        del others["recipient"]
    status = message.get("status")
    return {
        "name": foreign_chat.short_text(author.get("name")),
        **role,
        "content": content,
        "model": foreign_chat.short_text(metadata.get("model_slug")),
        "status": _STATUSES.get(status) if isinstance(status, str) else None,
        **foreign_chat.extra_metadata("chatgpt", others, "model_slug"),
    }


def _content(value: Record) -> tuple[Any, Record]:
    """A message's content, and the members of ChatGPT's that are not in it."""
    kind = value.get("content_type")
    kind = kind if isinstance(kind, str) and kind else "text"
    others = {} if kind == "text" else {"content_type": kind}
    parts = value.get("parts")
    if isinstance(parts, list):
        if all(isinstance(part, str) for part in parts):
            if len(parts) < 2:
                return "".join(parts), others
            return [{"type": "text", "text": part} for part in parts], others
        return [_part(part) for part in parts], others
    for name in ("text", "result", "content"):
        if isinstance(value.get(name), str):
            return value[name], others | {key: value[key] for key in value if key not in (name, "content_type")}
    return [{"type": kind} | {key: value[key] for key in value if key != "content_type"}], {}


def _part(part: Any) -> Record:
    if not isinstance(part, dict):
        return {"type": "text", "text": part if isinstance(part, str) else ""}
    kind = part.get("content_type")
    if kind is not None and "type" not in part:
        return {"type": kind, **{key: value for key, value in part.items() if key != "content_type"}}
    return part


def _nearest_message(head: Any, nodes: dict[str, MessageNode]) -> str | None:
    """The id of the message that a chat ends with: of its current node, or of the nearest one above with a message."""
    seen: set[str] = set()
    while isinstance(head, str) and head in nodes:
        if nodes[head].message is not None:
            return head
        if head in seen:
            raise InvalidRecord("messages follow each other in a circle")
        seen.add(head)
        head = nodes[head].parent
    return None


IMPORT = ChatGPT()
