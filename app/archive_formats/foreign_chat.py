"""Chats of other services as our records: what the parsers of foreign formats share.

They are read leniently: a role that is not known becomes `user`, a message whose timestamp cannot be read gets that of
the message before, and small values that Chatkeep has no field for go into `metadata` under the format's name.
"""

import hashlib
import heapq
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from app.archive_formats.records import Record
from app.archive_formats.schemas import MAX_SOURCE, InvalidRecord, check_value
from app.archive_formats.source_file import LocatedRecord
from app.chats.schemas import MAX_TAGS
from app.db.timestamps import now, to_iso
from app.http.references import is_uuid

_ROLES = {
    "system": "system",
    "developer": "developer",
    **dict.fromkeys("user human prompter".split(), "user"),
    **dict.fromkeys("assistant ai bard bing bot chatgpt claude function_call gpt model".split(), "assistant"),
    **dict.fromkeys("tool function function_response observation".split(), "tool"),
}
# Limits of what goes into `metadata`: bytes of one value, bytes of all, and levels of nesting.
_MAX_VALUE_BYTES, _MAX_METADATA_BYTES, _MAX_DEPTH = 2048, 8192, 32
_MAX_TITLE, _MAX_SHORT_TEXT, _MAX_TAG = 1024, 512, 128
_NUMBER = re.compile(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?")


@dataclass(slots=True)
class MessageNode:
    """A node of a foreign message tree, before seqs are given.

    Attributes:
        id: the message's id in the other service.
        parent: the id of the message that it follows; None for a root.
        message: the record without ids, seqs and timestamp; None for a node without a message, which is left out: its
            children get its parent.
    """

    id: str
    parent: str | None
    message: Record | None
    timestamp: datetime | None = None
    children: list["MessageNode"] = field(default_factory=list)


def chat_records(
    format_name: str,
    location: str,
    foreign_id: Any,
    raw: bytes,
    details: Record,
    nodes: Sequence[MessageNode],
    head: str | None = None,
) -> Iterator[LocatedRecord]:
    """The records of a foreign chat: its `chat`, then its messages in the order in which they were written.

    Args:
        format_name: the name of the import format, for the chat's `source`.
        location: where the chat stands in its file, for people.
        foreign_id: the chat's id in the other service, if it has one.
        raw: the chat as it is written in the file, hashed where it has no id.
        details: fields of the `chat` record, with datetimes; those that are None are left out.
        head: the id of the last message of the active branch; None for the last message of all.

    Raises InvalidRecord for a tree that is none.
    """
    ordered = _topological_order(nodes, details.get("created_at"))
    seqs = {node.id: seq for seq, (node, _, _) in enumerate(ordered, 1)}
    first = ordered[0][2] if ordered else details.get("created_at") or now()
    last = max((timestamp for _, _, timestamp in ordered), default=first)
    created = details.pop("created_at", None) or first
    updated = details.pop("updated_at", None) or max(created, last)
    chat_id = {"chat_id": foreign_id.lower()} if isinstance(foreign_id, str) and is_uuid(foreign_id) else {}
    head_seq = seqs.get(head, len(ordered)) if head is not None else len(ordered)
    chat = {
        "record": "chat",
        **chat_id,
        **{name: value for name, value in details.items() if value is not None},
        "source": _chat_source(format_name, foreign_id, raw),
        "last_seq": len(ordered),
        **({"head_seq": head_seq} if head_seq else {}),
        "created_at": to_iso(created),
        "updated_at": to_iso(updated),
        "last_activity_at": to_iso(max(created, last)),
    }
    yield LocatedRecord(location, chat)
    for seq, (node, parent, timestamp) in enumerate(ordered, 1):
        assert node.message is not None
        record = {
            "record": "message",
            "seq": seq,
            "type": "message",
            **{name: value for name, value in node.message.items() if value is not None or name == "content"},
            "created_at": to_iso(timestamp),
        }
        if is_uuid(node.id):
            record["message_id"] = node.id
        if parent is not None:
            record["parent_seq"] = seqs[parent]
        yield LocatedRecord(location, record)


def linear_nodes(messages: Iterable[Record]) -> list[MessageNode]:
    """Nodes of messages each of which follows the one before it."""
    return [MessageNode(f"#{n}", f"#{n - 1}" if n else None, message) for n, message in enumerate(messages)]


def _chat_source(format_name: str, foreign_id: Any, raw: bytes) -> str:
    """A chat's `source`: the format and its id there, or its hash where it has no id that can be kept."""
    if isinstance(foreign_id, str | int) and not isinstance(foreign_id, bool) and foreign_id != "":
        source = f"{format_name}:{foreign_id}"
        if len(source) <= MAX_SOURCE:
            return source
    return f"{format_name}:sha256-{hashlib.sha256(raw).hexdigest()}"


def role_fields(foreign_role: Any) -> Record:
    """The `role` of a message; a role that is not known is `user`, with what it was called as the `name`."""
    text = foreign_role if isinstance(foreign_role, str) else ""
    known = _ROLES.get(text.strip().lower())
    return {"role": known} if known else {"role": "user", "name": short_text(text)}


def short_text(value: Any, max_length: int = _MAX_SHORT_TEXT) -> str | None:
    """A text, cut to the longest that is taken; None for anything else, and for an empty one."""
    return value[:max_length] if isinstance(value, str) and value else None


def title_text(value: Any) -> str | None:
    """A chat's title, cut to the longest that is taken."""
    return short_text(value, _MAX_TITLE)


def tag_names(value: Any) -> list[str]:
    """The tags of a chat, which are texts or objects with a `name`; as many as are taken."""
    names = [tag.get("name") if isinstance(tag, dict) else tag for tag in (value if isinstance(value, list) else ())]
    return list(dict.fromkeys(name[:_MAX_TAG] for name in names if isinstance(name, str) and name))[:MAX_TAGS]


def token_count(value: Any) -> int | None:
    """A number of tokens; None for anything else."""
    return value if type(value) is int and 0 <= value <= 10**12 else None


def message_content(value: Any) -> Any:
    """A content that we take: a text, None, or a list of parts, where what is no object becomes a text part."""
    if value is None or isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else [value]
    return [part if isinstance(part, dict) else {"type": "text", "text": _text(part)} for part in parts]


def parse_timestamp(value: Any) -> datetime | None:
    """A timestamp from Unix time (in s, ms, µs or ns) or ISO 8601; None for anything else."""
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value) if abs(value) < 2**63 else math.inf
            for least, units_per_second in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
                if abs(seconds) >= least:
                    seconds /= units_per_second
                    break
            return datetime.fromtimestamp(seconds, UTC)
        if isinstance(value, str):
            timestamp = datetime.fromisoformat(value)
            return (timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)).astimezone(UTC)
    return None


def extra_metadata(format_name: str, members: Mapping[str, Any], *handled: str) -> Record:
    """A `metadata` field with the members that are not `handled`, under the format's name; nothing where none is left.

    Values that are large, empty or not kept by Chatkeep are left out.
    """
    extra: Record = {}
    size = 0
    for name, value in members.items():
        if name in handled or value in (None, "", [], {}) or not isinstance(name, str):
            continue
        length = _json_size(value)
        if length is not None and size + length <= _MAX_METADATA_BYTES:
            try:
                check_value({name: value})
            except InvalidRecord:
                continue
            extra[name] = value
            size += length
    return {"metadata": {format_name: extra}} if extra else {}


def require_object(value: Any, what: str = "it") -> Record:
    """A value that must be an object. Raises InvalidRecord."""
    if not isinstance(value, dict):
        raise InvalidRecord(f"{what} is no object")
    return value


def require_list(value: Any, what: str) -> list[Any]:
    """A value that must be a list. Raises InvalidRecord."""
    if not isinstance(value, list):
        raise InvalidRecord(f"{what}: no list")
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _json_size(value: Any) -> int | None:
    """About the length of a value as JSON; None where it is large or deeply nested."""
    if isinstance(value, str | int | float | bool):
        length = len(value) if isinstance(value, str) else 8
        return length if length <= _MAX_VALUE_BYTES else None
    pending, size = [(value, 1)], 0
    while pending:
        item, depth = pending.pop()
        if depth > _MAX_DEPTH or size > _MAX_VALUE_BYTES:
            return None
        if isinstance(item, dict):
            size += sum(len(name) + 4 for name in item)
            pending += [(member, depth + 1) for member in item.values()]
        elif isinstance(item, list):
            size += len(item)
            pending += [(member, depth + 1) for member in item]
        else:
            size += len(item) if isinstance(item, str) else 8
    return size if size <= _MAX_VALUE_BYTES else None


def _topological_order(
    nodes: Sequence[MessageNode], chat_created: datetime | None
) -> list[tuple[MessageNode, str | None, datetime]]:
    """Nodes with a message, each with the id of the message that it follows, and its timestamp.

    Every one comes after its parent; else they are ordered by timestamp, and then as they came.
    """
    by_id: dict[str, MessageNode] = {}
    for node in nodes:
        if node.id in by_id:
            raise InvalidRecord("two messages have the same id")
        by_id[node.id] = node
        node.children = []
    roots: list[MessageNode] = []
    for node in nodes:
        parent = by_id.get(node.parent) if node.parent is not None else None
        (roots if parent is None else parent.children).append(node)
    indexes = {node.id: index for index, node in enumerate(nodes)}
    ordered: list[tuple[MessageNode, str | None, datetime]] = []
    start = chat_created or min((node.timestamp for node in nodes if node.timestamp), default=None) or now()
    ready: list[tuple[datetime, int, MessageNode, str | None]] = [
        (root.timestamp or start, indexes[root.id], root, None) for root in roots
    ]
    heapq.heapify(ready)
    seen = 0
    while ready:
        timestamp, _, node, previous = heapq.heappop(ready)
        seen += 1
        if node.message is not None:
            ordered.append((node, previous, timestamp))
            previous = node.id
        for child in node.children:
            # A child may have an earlier timestamp than its parent: it keeps it, and still comes after its parent.
            heapq.heappush(ready, (child.timestamp or timestamp, indexes[child.id], child, previous))
    if seen != len(nodes):
        raise InvalidRecord("messages follow each other in a circle")
    return ordered
