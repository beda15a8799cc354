"""Streams of records, as formats get them."""

from collections.abc import Iterator
from typing import Any

import orjson

from app.archive_formats import ExportFormat, records
from tests.callers import Json

TIMESTAMP = "2026-01-31T12:00:00.000000Z"
CHAT_ID = "01932c07-1f3e-7000-8000-abcdef012345"

HOSTILE = [
    "plain",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    'a "quoted", thing;\r\nand more',
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "<!--",
    "]]>",
    "&lt;b&gt; &amp;",
    "```\n# not a heading\n```",
    "````\n~~~\n`````text",
    "- a\n\n---\n\n> b\n\n[a]: javascript:alert(1)",
    "\u202eright to left\u202c שלום",
    "🥚👩‍👩‍👧‍👦 é e\u0301 \u2028\u2029 \x7f \x01 \ufeff \uffff",
    "a" * 20_000,
    " ",
    "{}[]\\",
    "%s {0} {title} $1",
]


def message(seq: int, role: str = "user", **fields: Any) -> Json:
    """A message's record, as a value."""
    parent = {"parent_seq": seq - 1} if seq > 1 else {}
    message_id = f"01932c07-209c-7000-8000-{seq:012d}"
    fields = {
        "record": "message",
        "message_id": message_id,
        "seq": seq,
        **parent,
        "role": role,
        "type": "message",
        **fields,
    }
    return ordered({**fields, "created_at": fields.get("created_at", TIMESTAMP)})


def ordered(record: Json) -> Json:
    """A message's record with its members in their order."""
    return {name: record[name] for name in ("record", *records.MESSAGE_FIELDS) if name in record}


def chat(number: int = 0, **fields: Any) -> Json:
    """A chat's record, as a value."""
    chat_id = f"{CHAT_ID[:-6]}{number:06d}"
    timestamps = dict.fromkeys(("created_at", "updated_at", "last_activity_at"), TIMESTAMP)
    counters = {"message_count": 0, "last_seq": 0, "version": 1}
    return {"record": "chat", "chat_id": chat_id, **fields, **counters, **timestamps}


def written(format_: ExportFormat, *fields: Json, many: bool = True) -> bytes:
    """What a format makes of a stream."""
    return b"".join(format_.write(stream(format_, *fields), many=many))


def stream(format_: ExportFormat, *fields: Json) -> Iterator[Json]:
    """The stream of these records, with a header and an end, as the format gets it."""
    yield records.header()
    for record in fields:
        yield {
            name: orjson.Fragment(orjson.dumps(record[name]))
            if format_.lossless and name in records.JSON_FIELDS
            else record[name]
            for name in record
        }
    kinds = [record["record"] for record in fields]
    yield records.end(kinds.count("chat"), kinds.count("message"))
