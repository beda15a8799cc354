"""CSV export, for spreadsheets (RFC 4180): a row for each message.

It begins with a byte order mark, without which Excel takes UTF-8 for another encoding. A cell that a spreadsheet would
take for a formula gets an apostrophe before it (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any

import orjson

from app.archive_formats import ExportFormat
from app.archive_formats.records import Record
from app.models.plain_text import plain_text

_CHAT_COLUMNS = ("chat_id", "key", "title")
_MESSAGE_COLUMNS = (
    *"seq message_id role name model created_at".split(),
    *"text tool_calls tool_call_id tokens input_tokens output_tokens".split(),
)
# How a formula begins, in full-width characters too.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write(records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
    buffer = StringIO(newline="")
    write_row = csv.writer(buffer, lineterminator="\r\n").writerow

    def line(*values: Any) -> bytes:
        write_row([cell(value) for value in values])
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text.encode()

    yield b"\xef\xbb\xbf"
    chat_columns: tuple[str, ...] = ()
    chat: Record = {}
    for record in records:
        if record["record"] in ("chat", "end") and not chat_columns:
            # Its user too, in an export over several users.
            chat_columns = (*(("user_id",) if "user_id" in record else ()), *_CHAT_COLUMNS)
            yield line(*chat_columns, *_MESSAGE_COLUMNS)
        if record["record"] == "chat":
            chat = record
        elif record["record"] == "message":
            fields = {**record, "text": plain_text(record.get("content"))}
            if "tool_calls" in fields:
                fields["tool_calls"] = orjson.dumps(fields["tool_calls"]).decode()
            yield line(*(chat.get(name) for name in chat_columns), *(fields.get(name) for name in _MESSAGE_COLUMNS))


def cell(value: Any) -> Any:
    """A value as a cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


EXPORT = ExportFormat("csv", "text/csv; charset=utf-8; header=present", "csv", write)
