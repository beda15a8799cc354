"""Open Assistant's message trees: one to a line with nested `replies`, or the messages of many trees one by one.

See https://huggingface.co/datasets/OpenAssistant/oasst1 and, for the names in the second form, the seed data of
https://github.com/LAION-AI/Open-Assistant. Messages of one tree stand together there.
"""

from collections.abc import Iterator
from typing import Any

from app.archive_formats import foreign_chat
from app.archive_formats.foreign_chat import Node
from app.archive_formats.json_scanner import Broken
from app.archive_formats.records import Record
from app.archive_formats.schemas import Damaged
from app.archive_formats.source import LARGEST, Damage, Found, Source, check_whole, decoded

_IDS = ("message_id", "user_message_id")
_PARENTS = ("parent_id", "parent_message_id")
_TAKEN = (*_IDS, *_PARENTS, "text", "role", "created_date", "replies", "message_tree_id", "task_message_id", "user_id")


class OpenAssistant:
    """See ImportFormat. The active branch is that of the replies that are ranked best, or else come first."""

    name = "oasst"
    native = False

    def recognise(self, source: Source) -> bool:
        names = source.names().keys()
        flat = {"role", "text"} <= names and bool(names & set(_IDS)) and bool(names & set(_PARENTS))
        return flat or {"message_tree_id", "prompt"} <= names

    def check(self, source: Source) -> None:
        check_whole(source)

    def read(self, source: Source) -> Iterator[Found | Damage]:
        try:
            yield from self._read(source)
        except Broken as error:
            yield Damage(source.name, str(error))

    def _read(self, source: Source) -> Iterator[Found | Damage]:
        tree = _Tree()
        for item in source.items():
            value: Any = None
            try:
                raw = source.raw(item.span)
                value = foreign_chat.object_of(decoded(raw))
                if "prompt" in value:
                    yield from _written(tree)
                    tree = _Tree(item.place, value)
                    for node, message in _nested(foreign_chat.object_of(value["prompt"], "prompt")):
                        tree.add(node, message, raw)
                    yield from _written(tree)
                    tree = _Tree()
                    continue
                node = _node(value, None)
                if node.parent is None or value.get("message_tree_id") != tree.details.get("message_tree_id"):
                    yield from _written(tree)
                    tree = _Tree(item.place, value)
                tree.add(node, value, raw)
            except Damaged as error:
                if tree.nodes and "prompt" not in (value if isinstance(value, dict) else {}):
                    tree.damage = tree.damage or Damage(item.place, str(error))
                else:
                    yield Damage(item.place, str(error))
                    tree = _Tree()
        yield from _written(tree)


class _Tree:
    def __init__(self, place: str = "", details: Record | None = None) -> None:
        self.place = place
        self.details = details or {}
        self.nodes: list[Node] = []
        self.raw = bytearray()
        self.ranks: dict[str, Any] = {}
        self.damage: Damage | None = None

    def add(self, node: Node, message: Record, raw: bytes) -> None:
        self.nodes.append(node)
        self.ranks[node.id] = message.get("rank")
        if len(self.nodes) == 1 or "prompt" not in self.details:
            self.raw += raw
        if len(self.raw) > LARGEST:
            self.nodes, self.raw = self.nodes[:1], self.raw[:1]
            self.damage = Damage(self.place, f"larger than {LARGEST} bytes")

    def best(self) -> str | None:
        """The message that the active branch ends with."""
        children: dict[str | None, list[Node]] = {}
        for node in self.nodes:
            children.setdefault(node.parent, []).append(node)
        head, left = self.nodes[0].id, len(self.nodes)
        while head in children and left:
            ranks = self.ranks
            head = min(children[head], key=lambda node: r if isinstance(r := ranks[node.id], int) else 1 << 30).id
            left -= 1
        return head


def _written(tree: _Tree) -> Iterator[Found | Damage]:
    if tree.damage is not None:
        yield tree.damage
    elif tree.nodes:
        try:
            id_there = tree.details.get("message_tree_id") or tree.nodes[0].id
            details = {"created_at": None, **foreign_chat.rest("oasst", {"tree_state": tree.details.get("tree_state")})}
            yield from list(
                foreign_chat.chat("oasst", tree.place, id_there, bytes(tree.raw), details, tree.nodes, tree.best())
            )
        except Damaged as error:
            yield Damage(tree.place, str(error))


def _nested(prompt: Record) -> Iterator[tuple[Node, Record]]:
    pending: list[tuple[Record, str | None]] = [(prompt, None)]
    while pending:
        message, above = pending.pop()
        node = _node(message, above)
        yield node, message
        replies = message.get("replies")
        later = reversed(replies if isinstance(replies, list) else [])
        pending += [(foreign_chat.object_of(reply, "a reply"), node.id) for reply in later]


def _node(message: Record, above: str | None) -> Node:
    name = next((message[key] for key in _IDS if isinstance(message.get(key), str) and message[key]), None)
    if name is None:
        raise Damaged("message_id: missing")
    parent = above or next((message[key] for key in _PARENTS if isinstance(message.get(key), str)), None)
    text = message.get("text")
    record = {
        **foreign_chat.role(message.get("role")),
        "content": text if isinstance(text, str) else "",
        "model": foreign_chat.short(message.get("model_name")),
        **foreign_chat.rest("oasst", message, *_TAKEN, "model_name"),
    }
    return Node(name, parent, record, foreign_chat.moment(message.get("created_date")))


IMPORT = OpenAssistant()
