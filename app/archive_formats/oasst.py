"""Open Assistant's message trees: one to a line with nested `replies`, or the messages of many trees one by one.

See https://huggingface.co/datasets/OpenAssistant/oasst1 and, for the names in the second form, the seed data of
https://github.com/LAION-AI/Open-Assistant. Messages of one tree stand together there.
"""

from collections.abc import Iterator
from typing import Any

from app.archive_formats import ImportFormat, foreign_chat
from app.archive_formats.foreign_chat import MessageNode
from app.archive_formats.json_scanner import MalformedJson
from app.archive_formats.records import Record
from app.archive_formats.schemas import InvalidRecord
from app.archive_formats.source_file import MAX_VALUE_BYTES, LocatedRecord, ReadFailure, SourceFile, decode_json

_IDS = ("message_id", "user_message_id")
_PARENTS = ("parent_id", "parent_message_id")
_HANDLED = (
    *_IDS,
    *_PARENTS,
    *"text role created_date replies message_tree_id task_message_id user_id".split(),
)


class OpenAssistant(ImportFormat):
    """Message trees; the active branch is that of the replies that are ranked best, or else come first."""

    name = "oasst"

    def matches(self, source: SourceFile) -> bool:
        names = source.first_members().keys()
        flat = {"role", "text"} <= names and bool(names & set(_IDS)) and bool(names & set(_PARENTS))
        return flat or {"message_tree_id", "prompt"} <= names

    def read(self, source: SourceFile) -> Iterator[LocatedRecord | ReadFailure]:
        try:
            yield from self._read(source)
        except MalformedJson as error:
            yield ReadFailure(source.name, str(error))

    def _read(self, source: SourceFile) -> Iterator[LocatedRecord | ReadFailure]:
        tree = _Tree()
        for item in source.items():
            value: Any = None
            try:
                raw = source.raw(item.span)
                value = foreign_chat.require_object(decode_json(raw))
                if "prompt" in value:
                    yield from tree.records()
                    tree = _Tree(item.location, value)
                    for node, message in _nested(foreign_chat.require_object(value["prompt"], "prompt")):
                        tree.add(node, message, raw)
                    yield from tree.records()
                    tree = _Tree()
                    continue
                node = _node(value, None)
                if node.parent is None or value.get("message_tree_id") != tree.details.get("message_tree_id"):
                    yield from tree.records()
                    tree = _Tree(item.location, value)
                tree.add(node, value, raw)
            except InvalidRecord as error:
                if tree.nodes and "prompt" not in (value if isinstance(value, dict) else {}):
                    tree.failure = tree.failure or ReadFailure(item.location, str(error))
                else:
                    yield ReadFailure(item.location, str(error))
                    tree = _Tree()
        yield from tree.records()


class _Tree:
    def __init__(self, location: str = "", details: Record | None = None) -> None:
        self.location = location
        self.details = details or {}
        self.nodes: list[MessageNode] = []
        self.raw = bytearray()
        self.ranks: dict[str, Any] = {}
        self.failure: ReadFailure | None = None

    def add(self, node: MessageNode, message: Record, raw: bytes) -> None:
        self.nodes.append(node)
        self.ranks[node.id] = message.get("rank")
        if len(self.nodes) == 1 or "prompt" not in self.details:
            self.raw += raw
        if len(self.raw) > MAX_VALUE_BYTES:
            self.nodes, self.raw = self.nodes[:1], self.raw[:1]
            self.failure = ReadFailure(self.location, f"larger than {MAX_VALUE_BYTES} bytes")

    def records(self) -> Iterator[LocatedRecord | ReadFailure]:
        """The records of the tree, or why there are none; nothing for an empty one."""
        if self.failure is not None:
            yield self.failure
        elif self.nodes:
            try:
                foreign_id = self.details.get("message_tree_id") or self.nodes[0].id
                state = foreign_chat.extra_metadata("oasst", {"tree_state": self.details.get("tree_state")})
                chat = (self.location, foreign_id, bytes(self.raw), state, self.nodes, self._head())
                yield from list(foreign_chat.chat_records("oasst", *chat))
            except InvalidRecord as error:
                yield ReadFailure(self.location, str(error))

    def _head(self) -> str:
        """The id of the message that the active branch ends with."""
        children: dict[str | None, list[MessageNode]] = {}
        for node in self.nodes:
            children.setdefault(node.parent, []).append(node)
        head, ranks = self.nodes[0].id, self.ranks
        # As many steps as there are nodes: they may be in a circle.
        for _ in self.nodes:
            if head in children:
                head = min(children[head], key=lambda node: r if isinstance(r := ranks[node.id], int) else 1 << 30).id
        return head


def _nested(prompt: Record) -> Iterator[tuple[MessageNode, Record]]:
    pending: list[tuple[Record, str | None]] = [(prompt, None)]
    while pending:
        message, parent_id = pending.pop()
        node = _node(message, parent_id)
        yield node, message
        replies = message.get("replies")
        replies = reversed(replies if isinstance(replies, list) else [])
        pending += [(foreign_chat.require_object(reply, "a reply"), node.id) for reply in replies]


def _node(message: Record, parent_id: str | None) -> MessageNode:
    message_id = next((message[key] for key in _IDS if isinstance(message.get(key), str) and message[key]), None)
    if message_id is None:
        raise InvalidRecord("message_id: missing")
    parent_id = parent_id or next((message[key] for key in _PARENTS if isinstance(message.get(key), str)), None)
    text = message.get("text")
    record = {
        **foreign_chat.role_fields(message.get("role")),
        "content": text if isinstance(text, str) else "",
        "model": foreign_chat.short_text(message.get("model_name")),
        **foreign_chat.extra_metadata("oasst", message, *_HANDLED, "model_name"),
    }
    return MessageNode(message_id, parent_id, record, foreign_chat.parse_timestamp(message.get("created_date")))


IMPORT = OpenAssistant()
