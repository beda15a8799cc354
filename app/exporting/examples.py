"""What the OpenAPI document shows of each format: a chat of two messages, as it writes it."""

from typing import Any

import orjson

from app.archive_formats import exports, records

_AT = "2026-01-31T12:00:00.000000Z"
_MOMENTS = dict.fromkeys(("created_at", "updated_at", "last_activity_at"), _AT)
_SAID = (("user", "How do I boil an egg?"), ("assistant", "Eight minutes in boiling water."))


def _stream() -> list[records.Record]:
    counters = {"message_count": 2, "last_seq": 2, "head_seq": 2, "version": 2}
    chat_id = "01932c07-1f3e-7000-8000-abcdef012345"
    stream = [
        records.header(),
        {"record": "chat", "chat_id": chat_id, "title": "Eggs", **counters, **_MOMENTS},
    ]
    for seq, (role, content) in enumerate(_SAID, 1):
        place = {"message_id": f"01932c07-209c-7000-8000-00000000000{seq}", "seq": seq}
        parent = {"parent_seq": seq - 1} if seq > 1 else {}
        said = {"role": role, "type": "message", "content": content, "created_at": _AT}
        stream.append({"record": "message", **place, **parent, **said})
    return [*stream, records.end(1, 2)]


def contents(*, many: bool, first: str) -> dict[str, Any]:
    """The media types of all formats with an example of each, for a response in the OpenAPI document.

    Where formats share a type, the example is that of the format named first, or else of any.
    """
    found: dict[str, Any] = {}
    for form in sorted(exports().values(), key=lambda one: one.name != first):
        media_type = form.media_type.partition(";")[0]
        text = b"".join(form.write(iter(_stream()), many=many)).decode("utf-8-sig")
        example = orjson.loads(text) if media_type == "application/json" else text
        found.setdefault(media_type, {"example": example})
    return found
