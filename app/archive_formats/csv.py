"""CSV, for spreadsheets (RFC 4180): a row for each message.

It begins with a byte order mark, without which Excel takes UTF-8 for another encoding. A cell that a spreadsheet would
take for a formula gets an apostrophe before it (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any

import orjson

from app.archive_formats.records import Record
from app.messages.append.new_message import plain_text

_OF_CHAT = ("chat_id", "key", "title")
_OF_MESSAGE = (
    "seq",
    "message_id",
    "role",
    "name",
    "model",
    "created_at",
    "text",
    "tool_calls",
    "tool_call_id",
    "tokens",
    "input_tokens",
    "output_tokens",
)
# And those that look like them, in full width.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Csv:
    """See ExportFormat."""

    name = "csv"
    media_type = "text/csv; charset=utf-8; header=present"
    extension = "csv"
    lossless = False

    def write(self, records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
        buffer = StringIO(newline="")
        row = csv.writer(buffer, lineterminator="\r\n").writerow

        def written(*cells: Any) -> bytes:
            row([cell(one) for one in cells])
            text = buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
            return text.encode()

        yield b"\xef\xbb\xbf"
        names: tuple[str, ...] = ()
        chat: Record = {}
        for record in records:
            if record["record"] in ("chat", "end") and not names:
                # Whose it is, where there are those of several users.
                names = (*(("user_id",) if "user_id" in record else ()), *_OF_CHAT)
                yield written(*names, *_OF_MESSAGE)
            if record["record"] == "chat":
                chat = record
            elif record["record"] == "message":
                said = {**record, "text": plain_text(record.get("content"))}
                if "tool_calls" in said:
                    said["tool_calls"] = orjson.dumps(said["tool_calls"]).decode()
                yield written(*(chat.get(name) for name in names), *(said.get(name) for name in _OF_MESSAGE))


def cell(value: Any) -> Any:
    """A value as a cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


EXPORT = Csv()
