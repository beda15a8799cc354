"""What the formats of other services have in common: their chats, translated into our records.

They are read leniently: a role that is not known becomes one that is, a moment that cannot be read is that of the
message before, and what Chatkeep has no name for stands in `metadata` under the format's name, where it is small.
"""

import hashlib
import heapq
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from app.archive_formats.records import Record
from app.archive_formats.schemas import MAX_SOURCE, Damaged, check
from app.archive_formats.source import Found
from app.chats.schemas import MAX_TAGS
from app.db.timestamps import now, to_iso
from app.http.references import is_uuid

_ROLES = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "claude": "assistant",
    "function_call": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "function": "tool",
    "function_response": "tool",
    "observation": "tool",
}
# What is kept of what Chatkeep has no name for: bytes of one value, of all, and how deep.
_SMALL, _ALL, _FLAT = 2048, 8192, 32
_TITLE, _SHORT, _TAG = 1024, 512, 128
_DIGITS = re.compile(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?")


@dataclass(slots=True)
class Node:
    """A message where it hangs in a tree: by its id there, and that of the one that it follows, if any.

    `message` is its record but for its id, its place and its moment. One that is None says nothing: what follows it
    follows what it follows.
    """

    id: str
    parent: str | None
    message: Record | None
    at: datetime | None = None
    children: list["Node"] = field(default_factory=list)


def chat(
    form: str, place: str, id_there: Any, raw: bytes, details: Record, nodes: Sequence[Node], head: str | None
) -> Iterator[Found]:
    """The records of a chat of another service, with its messages in the order in which they were written.

    `details` are what a `chat` record has, with moments for its times; `head` is the id of the message that it ends
    with, or None for the last. Raises Damaged.
    """
    ordered = _in_order(nodes, details.get("created_at"))
    seqs = {node.id: seq for seq, (node, _, _) in enumerate(ordered, 1)}
    first = ordered[0][2] if ordered else details.get("created_at") or now()
    last = max((at for _, _, at in ordered), default=first)
    created = details.pop("created_at", None) or first
    updated = details.pop("updated_at", None) or max(created, last)
    chat_id = {"chat_id": id_there.lower()} if isinstance(id_there, str) and is_uuid(id_there) else {}
    head_seq = seqs.get(head, len(ordered)) if head is not None else len(ordered)
    yield Found(
        place,
        {
            "record": "chat",
            **chat_id,
            **{name: value for name, value in details.items() if value is not None},
            "source": source_of(form, id_there, raw),
            "last_seq": len(ordered),
            **({"head_seq": head_seq} if head_seq else {}),
            "created_at": to_iso(created),
            "updated_at": to_iso(updated),
            "last_activity_at": to_iso(max(created, last)),
        },
    )
    for seq, (node, parent, at) in enumerate(ordered, 1):
        assert node.message is not None
        record = {
            "record": "message",
            "seq": seq,
            "type": "message",
            **{name: value for name, value in node.message.items() if value is not None or name == "content"},
            "created_at": to_iso(at),
        }
        if is_uuid(node.id):
            record["message_id"] = node.id
        if parent is not None:
            record["parent_seq"] = seqs[parent]
        yield Found(place, record)


def in_a_row(messages: Iterable[Record | None], moments: Iterable[datetime | None] = ()) -> list[Node]:
    """Messages each of which follows the one before it."""
    at = iter(moments)
    nodes: list[Node] = []
    for number, message in enumerate(messages):
        nodes.append(Node(f"#{number}", f"#{number - 1}" if number else None, message, next(at, None)))
    return nodes


def source_of(form: str, id_there: Any, raw: bytes) -> str:
    """Where a chat comes from: the format and its id there, or a hash of it where it has none that can be kept."""
    if isinstance(id_there, str | int) and not isinstance(id_there, bool) and id_there != "":
        source = f"{form}:{id_there}"
        if len(source) <= MAX_SOURCE:
            return source
    return f"{form}:sha256-{hashlib.sha256(raw).hexdigest()}"


def role(given: Any) -> Record:
    """The role of a message, and the name of who said it where that is no role that is known."""
    text = given if isinstance(given, str) else ""
    known = _ROLES.get(text.strip().lower())
    return {"role": known} if known else {"role": "user", "name": short(text)}


def short(value: Any, longest: int = _SHORT) -> str | None:
    """A text, cut to what is taken; None for anything else, and for none."""
    return value[:longest] if isinstance(value, str) and value else None


def title(value: Any) -> str | None:
    """A chat's title."""
    return short(value, _TITLE)


def tags(given: Any) -> list[str]:
    """The tags of a chat: texts, or objects that name them."""
    found = [one.get("name") if isinstance(one, dict) else one for one in (given if isinstance(given, list) else ())]
    return list(dict.fromkeys(tag[:_TAG] for tag in found if isinstance(tag, str) and tag))[:MAX_TAGS]


def tokens(value: Any) -> int | None:
    """A number of tokens; None for what is none."""
    return value if type(value) is int and 0 <= value <= 10**12 else None


def content(value: Any) -> Any:
    """A content as it can be kept: a text, or a list of parts, in which a bare text is a part too."""
    if value is None or isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else [value]
    return [part if isinstance(part, dict) else {"type": "text", "text": _text(part)} for part in parts]


def moment(value: Any) -> datetime | None:
    """A moment: seconds since 1970, or thousandths or billionths of them, or ISO 8601. None for what is none."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if abs(value) < 2**63 else math.inf
        for size in (1e17, 1e14, 1e11):
            if abs(seconds) >= size:
                seconds /= {1e17: 1e9, 1e14: 1e6, 1e11: 1e3}[size]
                break
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            return None
    if isinstance(value, str):
        try:
            read = datetime.fromisoformat(value)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None
    return None


def rest(form: str, members: Mapping[str, Any], *taken: str) -> Record:
    """`metadata` with what is not taken, under the format's name: what is small, and can be kept."""
    kept: Record = {}
    size = 0
    for name, value in members.items():
        if name in taken or value in (None, "", [], {}) or not isinstance(name, str):
            continue
        length = _size(value)
        if length is not None and size + length <= _ALL:
            try:
                check({name: value})
            except Damaged:
                continue
            kept[name] = value
            size += length
    return {"metadata": {form: kept}} if kept else {}


def object_of(value: Any, what: str = "it") -> Record:
    """A value that must be an object. Raises Damaged."""
    if not isinstance(value, dict):
        raise Damaged(f"{what} is no object")
    return value


def list_of(value: Any, what: str) -> list[Any]:
    """A value that must be a list. Raises Damaged."""
    if not isinstance(value, list):
        raise Damaged(f"{what}: no list")
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _size(value: Any) -> int | None:
    """The length of a value as JSON, where it is small and flat."""
    if isinstance(value, str | int | float | bool):
        length = len(value) if isinstance(value, str) else 8
        return length if length <= _SMALL else None
    pending, size = [(value, 1)], 0
    while pending:
        one, depth = pending.pop()
        if depth > _FLAT or size > _SMALL:
            return None
        if isinstance(one, dict):
            size += sum(len(name) + 4 for name in one)
            pending += [(member, depth + 1) for member in one.values()]
        elif isinstance(one, list):
            size += len(one)
            pending += [(member, depth + 1) for member in one]
        else:
            size += len(one) if isinstance(one, str) else 8
    return size if size <= _SMALL else None


def _in_order(nodes: Sequence[Node], began: datetime | None) -> list[tuple[Node, str | None, datetime]]:
    """Nodes that say something, each after the one that it follows, else by their moments and then as they came.

    With each the id of the message that it follows, and its moment.
    """
    known: dict[str, Node] = {}
    for node in nodes:
        if node.id in known:
            raise Damaged("two messages have the same id")
        known[node.id] = node
        node.children = []
    roots: list[Node] = []
    for node in nodes:
        parent = known.get(node.parent) if node.parent is not None else None
        (roots if parent is None else parent.children).append(node)
    places = {node.id: place for place, node in enumerate(nodes)}
    ordered: list[tuple[Node, str | None, datetime]] = []
    start = began or min((node.at for node in nodes if node.at), default=None) or now()
    ready: list[tuple[datetime, int, Node, str | None]] = [
        (root.at or start, places[root.id], root, None) for root in roots
    ]
    heapq.heapify(ready)
    seen = 0
    while ready:
        at, _, node, before = heapq.heappop(ready)
        seen += 1
        if node.message is not None:
            ordered.append((node, before, at))
            before = node.id
        for child in node.children:
            # For the order, nothing is from before what it follows; what it says of its moment is kept.
            heapq.heappush(ready, (child.at or at, places[child.id], child, before))
    if seen != len(nodes):
        raise Damaged("messages follow each other in a circle")
    return ordered
