"""ChatGPT's data export: `conversations.json`, a list of chats, each with its messages as a tree, the `mapping`.

The shape was read off exports; OpenAI publishes no description. Nodes without a message, and the empty system message
that every chat begins with, say nothing and are left out.
"""

from collections.abc import Iterator
from typing import Any

from app.archive_formats import foreign_chat
from app.archive_formats.foreign_chat import Node
from app.archive_formats.item_format import ItemFormat
from app.archive_formats.records import Record
from app.archive_formats.schemas import Damaged
from app.archive_formats.source import Found

_ENDED = {"in_progress": "incomplete", "finished_partial_completion": "incomplete"}


class ChatGPT(ItemFormat):
    """See ImportFormat."""

    name = "chatgpt"

    def knows(self, names: dict[str, bytes]) -> bool:
        return names.get("mapping") == b"{"

    def chat(self, place: str, item: Record, raw: bytes) -> Iterator[Found]:
        mapping = foreign_chat.object_of(item.get("mapping"), "mapping")
        nodes = [_node(str(name), foreign_chat.object_of(node, "a node of mapping")) for name, node in mapping.items()]
        details = {
            "title": foreign_chat.title(item.get("title")),
            "platform": "chatgpt",
            "is_pinned": item.get("is_starred") is True,
            "created_at": foreign_chat.moment(item.get("create_time")),
            "updated_at": foreign_chat.moment(item.get("update_time")),
            **foreign_chat.rest(self.name, item, *_TAKEN),
        }
        head = _speaking(item.get("current_node"), {node.id: node for node in nodes})
        id_there = item.get("conversation_id") or item.get("id")
        yield from foreign_chat.chat(self.name, place, id_there, raw, details, nodes, head)


_TAKEN = ("mapping", "title", "create_time", "update_time", "conversation_id", "id", "current_node", "is_starred")


def _node(name: str, node: Record) -> Node:
    parent = node.get("parent")
    if "message" not in node:
        raise Damaged("a node of mapping has no message")
    message = node["message"]
    found = Node(name, parent if isinstance(parent, str) else None, None)
    if message is not None:
        message = foreign_chat.object_of(message, "a message of mapping")
        found.at = foreign_chat.moment(message.get("create_time"))
        found.message = _message(message)
    return found


def _message(message: Record) -> Record | None:
    author = message.get("author")
    author = author if isinstance(author, dict) else {}
    said = message.get("content")
    said = said if isinstance(said, dict) else {"content_type": "text", "parts": [said]}
    content, left = _content(said)
    role = foreign_chat.role(author.get("role"))
    if role["role"] == "system" and content == "":
        return None
    metadata = message.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    unnamed = {**metadata, **left, "recipient": message.get("recipient"), "end_turn": message.get("end_turn")}
    if unnamed["recipient"] == "all":
        del unnamed["recipient"]
    status = message.get("status")
    return {
        "name": foreign_chat.short(author.get("name")),
        **role,
        "content": content,
        "model": foreign_chat.short(metadata.get("model_slug")),
        "status": _ENDED.get(status) if isinstance(status, str) else None,
        **foreign_chat.rest("chatgpt", unnamed, "model_slug"),
    }


def _content(said: Record) -> tuple[Any, Record]:
    """A message's content, and what else there is to it."""
    kind = said.get("content_type")
    kind = kind if isinstance(kind, str) and kind else "text"
    left = {} if kind == "text" else {"content_type": kind}
    parts = said.get("parts")
    if isinstance(parts, list):
        if all(isinstance(part, str) for part in parts):
            if len(parts) < 2:
                return "".join(parts), left
            return [{"type": "text", "text": part} for part in parts], left
        return [_part(part) for part in parts], left
    for name in ("text", "result", "content"):
        if isinstance(said.get(name), str):
            return said[name], left | {key: value for key, value in said.items() if key not in (name, "content_type")}
    return [{"type": kind} | {key: value for key, value in said.items() if key != "content_type"}], {}


def _part(part: Any) -> Record:
    if not isinstance(part, dict):
        return {"type": "text", "text": part if isinstance(part, str) else ""}
    kind = part.get("content_type")
    if kind is not None and "type" not in part:
        return {"type": kind, **{key: value for key, value in part.items() if key != "content_type"}}
    return part


def _speaking(head: Any, nodes: dict[str, Node]) -> str | None:
    """The message that a chat ends with: the one that is named, or the nearest before it that says something."""
    seen: set[str] = set()
    while isinstance(head, str) and head in nodes:
        if nodes[head].message is not None:
            return head
        if head in seen:
            raise Damaged("messages follow each other in a circle")
        seen.add(head)
        head = nodes[head].parent
    return None


IMPORT = ChatGPT()
