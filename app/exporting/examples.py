"""OpenAPI examples of export formats: a chat of two messages, as each format writes it."""

from typing import Any

import orjson

from app.archive_formats import exports, records

_TIMESTAMP = "2026-01-31T12:00:00.000000Z"
_TIMESTAMPS = dict.fromkeys(("created_at", "updated_at", "last_activity_at"), _TIMESTAMP)
_MESSAGES = (("user", "How do I boil an egg?"), ("assistant", "Eight minutes in boiling water."))


def _stream() -> list[records.Record]:
    counters = {"message_count": 2, "last_seq": 2, "head_seq": 2, "version": 2}
    chat_id = "01932c07-1f3e-7000-8000-abcdef012345"
    stream = [records.header(), {"record": "chat", "chat_id": chat_id, "title": "Eggs", **counters, **_TIMESTAMPS}]
    for seq, (role, content) in enumerate(_MESSAGES, 1):
        ids = {"message_id": f"01932c07-209c-7000-8000-00000000000{seq}", "seq": seq}
        parent = {"parent_seq": seq - 1} if seq > 1 else {}
        fields = {"role": role, "type": "message", "content": content, "created_at": _TIMESTAMP}
        stream.append({"record": "message", **ids, **parent, **fields})
    return [*stream, records.end(1, 2)]


def response_content(*, many: bool, first: str) -> dict[str, Any]:
    """The `content` of an OpenAPI response: every media type that formats have, with an example.

    Where formats share a media type, the example is that of the format named `first`, or else of any.
    """
    content: dict[str, Any] = {}
    for format_ in sorted(exports().values(), key=lambda format_: format_.name != first):
        media_type = format_.media_type.partition(";")[0]
        text = b"".join(format_.write(iter(_stream()), many=many)).decode("utf-8-sig")
        example = orjson.loads(text) if media_type == "application/json" else text
        content.setdefault(media_type, {"example": example})
    return content
