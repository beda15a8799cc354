"""Chat builder: a chat that is imported record by record, as rows for the database. Hot: once for every message."""

import re
from collections.abc import Callable
from datetime import datetime
from operator import itemgetter
from typing import Any

import orjson
from pydantic import BaseModel
from uuid_utils import uuid7

from app.archive_formats import records
from app.archive_formats.schemas import ChatRecord, InvalidRecord, MessageRecord, parse, schema_of
from app.db.timestamps import to_iso
from app.events.counter_deltas import MessageCounts, bucket_of
from app.importing.segments import Segments
from app.messages.append.new_message import token_counts
from app.models.message import MAX_SEQ
from app.models.registry import OwnedTable, owned_table

Row = tuple[Any, ...]
ConvertTimestamp = Callable[[datetime], Any]
"""Makes of a timestamp what the database's driver takes."""

Rows = dict[str, list[Row]]
"""Rows of what belongs to a chat, by table."""

# By table, in an order in which rows come after those that they refer to.
COLUMNS = {name: owned_table(name).columns for name in ("messages", "segments")} | {
    table.name: table.columns for table in records.OWNED.values()
}
MESSAGE_ID, SEQ = (COLUMNS["messages"].index(name) for name in ("message_id", "seq"))
_message_row = itemgetter(*COLUMNS["messages"])
_NO_MESSAGE = dict.fromkeys(COLUMNS["messages"])

_ROLES = frozenset({"user", "assistant", "system", "developer", "tool"})
# The fields that a message on the short way may have.
_TOKEN_FIELDS = ("tokens", "input_tokens", "output_tokens")
_PLAIN_FIELDS = frozenset({"record", *records.MESSAGE_FIELDS[:6], "created_at", "model", *_TOKEN_FIELDS})
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z").fullmatch
_MAX_TOKENS = 10**12
_MAX_TOTAL = 2**63 - 1


def empty_rows() -> Rows:
    """No rows, of any table."""
    return {name: [] for name in COLUMNS}


class ChatBuilder:
    """Builds the rows of one chat, and what it adds to the counters. The rows may be taken away as they fill.

    Attributes:
        chat: the `chat` record.
        rows: the rows since they were taken last; their size in memory is about `bytes`.
        ranges: ranges of seqs without a gap, as `[first, count]`.
        totals: the sums of input tokens, output tokens and all tokens.
        segment: the segment on which the chat goes on; known at the end.
        head_id: the id of the message `head_seq`.
        repeated_keys: the seqs of messages with the key of one before them: they are built without it.
    """

    def __init__(
        self, chat: ChatRecord, user_id: str, chat_id: str, *, keep_ids: bool, timestamp: ConvertTimestamp | None
    ) -> None:
        self.chat = chat
        self.user_id = user_id
        self.chat_id = chat_id
        self.rows = empty_rows()
        self.segments = Segments()
        self.ranges: list[list[int]] = []
        self.count = 0
        self.totals = [0, 0, 0]
        self.head_id: str | None = None
        self.repeated_keys: list[int] = []
        self.segment = 0
        self.bytes = 0
        self._segments_taken = 0
        self._last_seq = 0
        self._keep_ids = keep_ids
        self._keys: set[str] = set()
        self._timestamp = timestamp
        # By minute, role and model: the number of messages, and of their tokens.
        self._counters: dict[tuple[str, str, str | None], list[int]] = {}
        # By the type of a record: where the last one was.
        self._last_keys: dict[str, tuple[Any, ...]] = {}

    def add_message(self, record: records.Record, *, is_strict: bool) -> None:
        """Adds the next `message`; `is_strict` says that its JSON is known to be strict. Raises InvalidRecord."""
        try:
            # Most messages are a text with the usual fields: they take the short way.
            seq, content, created = record["seq"], record["content"], record["created_at"]
            role, kind = record["role"], record["type"]
        except KeyError:
            self._add_validated(record)
            return
        get = record.get
        message_id, parent = get("message_id"), get("parent_seq")
        more_fields = len(record) - 6 - (message_id is not None) - (parent is not None)
        if not (
            is_strict
            and type(content) is str
            and type(seq) is int
            and (parent is None or type(parent) is int)
            and type(created) is str
            and _TIMESTAMP(created)
            and type(role) is str
            and role in _ROLES
            and (kind == "message" or (type(kind) is str and 0 < len(kind) <= 64))
            and (message_id is None or (type(message_id) is str and _UUID(message_id)))
            and (not more_fields or (record.keys() <= _PLAIN_FIELDS and _has_valid_usage(record)))
        ):
            self._add_validated(record)
            return
        try:
            timestamp: Any = datetime.fromisoformat(created)
        except ValueError:
            raise InvalidRecord("created_at: no such moment") from None
        segment = self._add_to_segment(seq, parent)
        if not self._keep_ids or message_id is None:
            message_id = str(uuid7())
        if seq == self.chat.head_seq:
            self.head_id = message_id
        model = tokens = input_tokens = output_tokens = None
        if more_fields:
            model, tokens = get("model"), get("tokens")
            input_tokens, output_tokens = get("input_tokens"), get("output_tokens")
        # Those of the same minute, role and model are counted together.
        counters = self._counters.get((created[:16], role, model))
        if counters is None:
            counters = self._counters[created[:16], role, model] = [0, 0, 0, 0]
        counters[0] += 1
        if more_fields:
            self._count_tokens(counters, token_counts(tokens, input_tokens, output_tokens))
        text = orjson.dumps(content).decode()
        self.bytes += len(text) + 256
        fields = {
            "user_id": self.user_id,
            "chat_id": self.chat_id,
            "message_id": message_id,
            "seq": seq,
            "parent_seq": parent,
            "segment": segment,
            "role": role,
            "type": kind,
            "content": text,
            "created_at": created if self._timestamp is None else timestamp,
            "model": model,
            "tokens": tokens,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
        }
        self.rows["messages"].append(_message_row(_NO_MESSAGE | fields))

    def _add_validated(self, record: records.Record) -> None:
        message = parse(MessageRecord, record)
        message_id = message.message_id if message.message_id and self._keep_ids else str(uuid7())
        segment = self._add_to_segment(message.seq, message.parent_seq)
        if message.seq == self.chat.head_seq:
            self.head_id = message_id
        tokens = (message.tokens, message.input_tokens, message.output_tokens)
        minute = to_iso(message.created_at)[:16]
        counters = self._counters.setdefault((minute, message.role, message.model), [0, 0, 0, 0])
        counters[0] += 1
        self._count_tokens(counters, token_counts(*tokens))
        fields = self._values(owned_table("messages"), message)
        fields |= {"message_id": message_id, "segment": segment}
        if message.key is not None and message.key in self._keys:
            self.repeated_keys.append(message.seq)
            fields["key"] = None
        elif message.key is not None:
            self._keys.add(message.key)
        self.rows["messages"].append(_message_row(fields))

    def add_owned(self, kind: str, record: records.Record) -> None:
        """Adds the next record of what else belongs to the chat, of the type `kind`. Raises InvalidRecord."""
        table = records.OWNED[kind]
        fields = self._values(table, parse(schema_of(table), record))
        key = tuple(fields[name] for name in table.key)
        if key <= self._last_keys.get(kind, ()) or ("seq" in fields and not self.segments.has(fields["seq"])):
            raise InvalidRecord(f"{kind}: of no message, or out of order")
        self._last_keys[kind] = key
        self.rows[table.name].append(tuple(fields[name] for name in table.columns))

    def _values(self, table: OwnedTable, record: BaseModel) -> dict[str, Any]:
        """The columns of a row by the fields of its record; None for those that the record does not have."""
        values: dict[str, Any] = {"user_id": self.user_id, "chat_id": self.chat_id}
        for name in table.fields:
            value = getattr(record, name, None)
            if name in table.json_columns:
                # A content that is null is not one that is not there.
                is_there = value is not None or (name == "content" and name in record.model_fields_set)
                value = orjson.dumps(value).decode() if is_there else None
            elif name in table.timestamp_columns:
                value = self.timestamp(value)
            if type(value) is str:
                self.bytes += len(value)
            values[name] = value
        self.bytes += 512
        return values

    def finish(self) -> None:
        """Ends the chat. Raises InvalidRecord where its record says something else than what was added."""
        chat = self.chat
        if chat.message_count is not None and chat.message_count != self.count:
            raise InvalidRecord(f"message_count: it says {chat.message_count}, and {self.count} messages came")
        if chat.last_seq < self.segments.last_seq:
            raise InvalidRecord("last_seq: a message has a higher seq")
        if chat.head_seq is not None and not self.segments.has(chat.head_seq):
            raise InvalidRecord("head_seq: no message of it")
        self.segment = self.segments.head(chat.head_seq)
        size = self.bytes
        # From now on the rows stay: a transaction may have to be repeated.
        self.rows, self.bytes = self.take_rows(), size
        if max(self.totals) > _MAX_TOTAL:
            raise InvalidRecord("tokens: too many in all")

    def take_rows(self) -> Rows:
        """The rows that were added since they were taken last."""
        rows, self.rows = self.rows, empty_rows()
        owner = (self.user_id, self.chat_id)
        rows["segments"] = [(*owner, *fork) for fork in self.segments.forks(self._segments_taken)]
        self._segments_taken = self.segments.count
        self.bytes = 0
        return rows

    def message_counts(self) -> list[MessageCounts]:
        """What its messages add to the counters."""
        slots: dict[tuple[int, str, str | None], list[int]] = {}
        for (minute, role, model), numbers in self._counters.items():
            key = (bucket_of(datetime.fromisoformat(f"{minute}:00+00:00")), role, model)
            row = slots.setdefault(key, [0, 0, 0, 0])
            for index, number in enumerate(numbers):
                row[index] += number
        return [MessageCounts(*key, *row) for key, row in slots.items()]

    def timestamp(self, timestamp: datetime | None) -> Any:
        """A timestamp as the database's driver takes it."""
        if timestamp is None:
            return None
        return to_iso(timestamp) if self._timestamp is None else self._timestamp(timestamp)

    def _add_to_segment(self, seq: int, parent: int | None) -> int:
        """The segment of the next message. Raises InvalidRecord where its seq or its parent cannot be."""
        segments, last = self.segments, self._last_seq
        if not last < seq <= MAX_SEQ:
            raise InvalidRecord("seq: not higher than the one before")
        if parent is not None and parent != last and not (0 < parent < seq and segments.has(parent)):
            raise InvalidRecord("parent_seq: no message before it")
        if seq == last + 1 and last:
            self.ranges[-1][1] += 1
        else:
            self.ranges.append([seq, 1])
        self._last_seq = seq
        self.count += 1
        return segments.add(seq, parent)

    def _count_tokens(self, counters: list[int], tokens: tuple[int, int, int]) -> None:
        for index, number in enumerate(tokens):
            counters[index + 1] += number
            self.totals[index] += number


def _has_valid_usage(record: records.Record) -> bool:
    """Whether the model and the tokens of a message are valid, where it has them."""
    model = record.get("model", "")
    if type(model) is not str or len(model) > 512:
        return False
    for name in _TOKEN_FIELDS:
        number = record.get(name, 0)
        if type(number) is not int or not 0 <= number <= _MAX_TOKENS:
            return False
    return True
