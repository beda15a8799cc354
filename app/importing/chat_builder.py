"""A chat that comes in record by record, as the rows that will hold it. Hot: once for every message imported."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from uuid_utils import uuid7

from app.archive_formats import records
from app.archive_formats.schemas import ChatRecord, Damaged, feedback_of, message_of, revision_of
from app.db.timestamps import to_iso
from app.events.counter_deltas import slot_of
from app.importing.segments import Lines
from app.messages.append.new_message import plain_text, token_counts
from app.messages.branching.tree import MAX_SEQ

Row = tuple[Any, ...]
Moments = Callable[[datetime], Any]
"""How the database's driver is given a moment."""

OWNER = ("user_id", "chat_id")
MESSAGE = (
    *OWNER,
    "seq",
    "message_id",
    "parent_seq",
    "segment",
    "role",
    "type",
    "content",
    "text",
    "tool_calls",
    "tool_call_id",
    "name",
    "model",
    "tokens",
    "input_tokens",
    "output_tokens",
    "status",
    "metadata",
    "payload",
    "created_at",
    "edited_at",
)
REVISION = (*OWNER, *records.REVISION)
SEGMENT = (*OWNER, "segment", "parent_segment", "fork_seq")
FEEDBACK = (*OWNER, *records.FEEDBACK)

_ROLES = frozenset({"user", "assistant", "system", "developer", "tool"})
# What most messages have, and nothing else.
_USUAL = frozenset(
    {
        "record",
        "message_id",
        "seq",
        "parent_seq",
        "role",
        "type",
        "content",
        "created_at",
        "model",
        "tokens",
        "input_tokens",
        "output_tokens",
    }
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z").fullmatch
_MAX_TOKENS = 10**12
_MAX_TOTAL = 2**63 - 1


@dataclass(slots=True)
class Rows:
    """Rows of what belongs to a chat, by table."""

    messages: list[Row] = field(default_factory=list)
    segments: list[Row] = field(default_factory=list)
    revisions: list[Row] = field(default_factory=list)
    feedback: list[Row] = field(default_factory=list)


class Intake:
    """One chat: what it says of itself, the rows of what belongs to it, and what it adds to the counters.

    The rows may be taken away as they fill; all else stays.
    """

    def __init__(self, chat: ChatRecord, user_id: str, chat_id: str, *, keep_ids: bool, moment: Moments | None) -> None:
        self.chat = chat
        self.user_id = user_id
        self.chat_id = chat_id
        self.rows = Rows()
        self.lines = Lines()
        self.runs: list[list[int]] = []
        self.count = 0
        self.totals = [0, 0, 0]
        self.head_id: str | None = None
        self.segment = 0
        self.bytes = 0
        self._begun = 0
        self._last = 0
        self._keep_ids = keep_ids
        self._moment = moment
        # By minute, role and model: messages, and their tokens.
        self._counts: dict[tuple[str, str, str | None], list[int]] = {}
        self._revised = (0, 0)
        self._rated = (0, "")

    def message(self, record: records.Record, *, clean: bool) -> None:
        """Takes the next `message`; `clean` says that its JSON was found to be strict. Raises Damaged."""
        try:
            # What most messages are: a text, with nothing out of the ordinary.
            seq, content, created = record["seq"], record["content"], record["created_at"]
            role, kind = record["role"], record["type"]
        except KeyError:
            self._unusual(record)
            return
        get = record.get
        message_id, parent = get("message_id"), get("parent_seq")
        names = len(record) - 6 - (message_id is not None) - (parent is not None)
        if not (
            clean
            and type(content) is str
            and type(seq) is int
            and (parent is None or type(parent) is int)
            and type(created) is str
            and _MOMENT(created)
            and type(role) is str
            and role in _ROLES
            and (kind == "message" or (type(kind) is str and 0 < len(kind) <= 64))
            and (message_id is None or (type(message_id) is str and _UUID(message_id)))
            and (not names or (record.keys() <= _USUAL and _usual(record)))
        ):
            self._unusual(record)
            return
        try:
            moment: Any = datetime.fromisoformat(created)
        except ValueError:
            raise Damaged("created_at: no such moment") from None
        segment = self._place(seq, parent)
        if not self._keep_ids or message_id is None:
            message_id = str(uuid7())
        if seq == self.chat.head_seq:
            self.head_id = message_id
        model = tokens = input_tokens = output_tokens = None
        if names:
            model, tokens = get("model"), get("tokens")
            input_tokens, output_tokens = get("input_tokens"), get("output_tokens")
        # Those of the same minute, role and model are counted together.
        row = self._counts.get((created[:16], role, model))
        if row is None:
            row = self._counts[created[:16], role, model] = [0, 0, 0, 0]
        row[0] += 1
        if names:
            self._count(row, token_counts(tokens, input_tokens, output_tokens))
        text = orjson.dumps(content).decode()
        self.bytes += 2 * len(text) + 256
        self.rows.messages.append(
            (
                self.user_id,
                self.chat_id,
                seq,
                message_id,
                parent,
                segment,
                role,
                kind,
                text,
                content,
                None,
                None,
                None,
                model,
                tokens,
                input_tokens,
                output_tokens,
                None,
                None,
                None,
                created if self._moment is None else moment,
                None,
            )
        )

    def _unusual(self, record: records.Record) -> None:
        message = message_of(record)
        message_id = message.message_id if message.message_id and self._keep_ids else str(uuid7())
        segment = self._place(message.seq, message.parent_seq)
        if message.seq == self.chat.head_seq:
            self.head_id = message_id
        tokens = (message.tokens, message.input_tokens, message.output_tokens)
        minute = to_iso(message.created_at)[:16]
        self._count(
            self._counts.setdefault((minute, message.role, message.model), [0, 0, 0, 0]),
            token_counts(*tokens),
            messages=1,
        )
        text = plain_text(message.content)
        said = "content" in message.model_fields_set
        content = orjson.dumps(message.content).decode() if said else None
        calls, metadata, payload = map(_json, (message.tool_calls, message.metadata, message.payload))
        self.bytes += len(text) + 256 + sum(len(part) for part in (content, calls, metadata, payload) if part)
        self.rows.messages.append(
            (
                self.user_id,
                self.chat_id,
                message.seq,
                message_id,
                message.parent_seq,
                segment,
                message.role,
                message.type,
                content,
                text,
                calls,
                message.tool_call_id,
                message.name,
                message.model,
                *tokens,
                message.status,
                metadata,
                payload,
                self.moment(message.created_at),
                self.moment(message.edited_at),
            )
        )

    def revision(self, record: records.Record) -> None:
        """Takes the next `revision`, of a message that came before. Raises Damaged."""
        revision = revision_of(record)
        place = (revision.seq, revision.revision)
        if place <= self._revised or not self.lines.has(revision.seq):
            raise Damaged("a revision of no message, or out of order")
        self._revised = place
        content = orjson.dumps(revision.content).decode() if "content" in revision.model_fields_set else None
        self.bytes += 2 * len(content or "") + 256
        self.rows.revisions.append(
            (
                self.user_id,
                self.chat_id,
                *place,
                revision.role,
                revision.type,
                content,
                _json(revision.tool_calls),
                revision.tool_call_id,
                revision.name,
                revision.model,
                revision.tokens,
                revision.input_tokens,
                revision.output_tokens,
                _json(revision.metadata),
                revision.status,
                self.moment(revision.replaced_at),
            )
        )

    def rating(self, record: records.Record) -> None:
        """Takes the next `feedback`, on a message that came before. Raises Damaged."""
        feedback = feedback_of(record)
        place = (feedback.seq, feedback.caller)
        if place <= self._rated or not self.lines.has(feedback.seq):
            raise Damaged("feedback on no message, or out of order")
        self._rated = place
        self.bytes += 512
        moments = (self.moment(feedback.created_at), self.moment(feedback.updated_at))
        self.rows.feedback.append(
            (self.user_id, self.chat_id, *place, feedback.rating, feedback.reason, feedback.text, *moments)
        )

    def finish(self) -> None:
        """Says that no record is to come. Raises Damaged where what came is not what the chat says."""
        chat = self.chat
        if chat.message_count is not None and chat.message_count != self.count:
            raise Damaged(f"message_count: it says {chat.message_count}, and {self.count} messages came")
        if chat.last_seq < self.lines.last_seq:
            raise Damaged("last_seq: a message has a higher seq")
        if chat.head_seq is not None and not self.lines.has(chat.head_seq):
            raise Damaged("head_seq: no message of it")
        self.segment = self.lines.head(chat.head_seq)
        size = self.bytes
        # From now on they stay: what is stored may have to be stored once more.
        self.rows, self.bytes = self.take(), size
        if max(self.totals) > _MAX_TOTAL:
            raise Damaged("tokens: too many in all")

    def take(self) -> Rows:
        """The rows that came since they were taken last."""
        rows, self.rows = self.rows, Rows()
        owner = (self.user_id, self.chat_id)
        rows.segments = [(*owner, fork.segment, fork.parent, fork.fork_seq) for fork in self.lines.forks(self._begun)]
        self._begun = self.lines.count
        self.bytes = 0
        return rows

    def counts(self) -> list[list[Any]]:
        """What its messages add to the counters, see `app.events.counter_deltas.summed`."""
        slots: dict[tuple[int, str, str | None], list[int]] = {}
        for (minute, role, model), numbers in self._counts.items():
            key = (slot_of(datetime.fromisoformat(f"{minute}:00+00:00")), role, model)
            row = slots.setdefault(key, [0, 0, 0, 0])
            for place, number in enumerate(numbers):
                row[place] += number
        return [[*key, *row] for key, row in slots.items()]

    def moment(self, moment: datetime | None) -> Any:
        """A moment as the database's driver is given it."""
        if moment is None:
            return None
        return to_iso(moment) if self._moment is None else self._moment(moment)

    def _place(self, seq: int, parent: int | None) -> int:
        """The line of the next message. Raises Damaged where it cannot stand there."""
        lines, last = self.lines, self._last
        if not last < seq <= MAX_SEQ:
            raise Damaged("seq: not higher than the one before")
        if parent is not None and parent != last and not (0 < parent < seq and lines.has(parent)):
            raise Damaged("parent_seq: no message before it")
        if seq == last + 1 and last:
            self.runs[-1][1] += 1
        else:
            self.runs.append([seq, 1])
        self._last = seq
        self.count += 1
        return lines.add(seq, parent)

    def _count(self, row: list[int], tokens: tuple[int, int, int], messages: int = 0) -> None:
        row[0] += messages
        for place, number in enumerate(tokens):
            row[place + 1] += number
            self.totals[place] += number


def _usual(record: records.Record) -> bool:
    """Whether the model and the tokens of a message are such."""
    model = record.get("model", "")
    if type(model) is not str or len(model) > 512:
        return False
    for name in ("tokens", "input_tokens", "output_tokens"):
        number = record.get(name, 0)
        if type(number) is not int or not 0 <= number <= _MAX_TOKENS:
            return False
    return True


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
