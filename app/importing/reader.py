"""Import reader: records to whole chats, in batches for one transaction each. Runs beside the event loop."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from uuid_utils import uuid7

from app.archive_formats.records import OWNED, Record
from app.archive_formats.schemas import ChatRecord, InvalidRecord, parse
from app.archive_formats.source_file import LocatedRecord, ReadFailure, SourceFile
from app.importing.chat_builder import ChatBuilder, ConvertTimestamp, Rows

# A chat with more is stored in parts, all in one transaction: whole it may not fit into memory.
MAX_PART_MESSAGES = 5_000
MAX_PART_BYTES = 8 * 1024 * 1024
MAX_BATCH_CHATS = 250
_STRAY = "it belongs to no chat"


@dataclass(frozen=True, slots=True)
class WholeChat:
    """A chat all of whose records were read."""

    location: str
    builder: ChatBuilder


@dataclass(frozen=True, slots=True)
class ChatPart:
    """The next rows of a large chat. The builder is complete only when the `last` part has come."""

    location: str
    builder: ChatBuilder
    rows: Rows
    last: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that is not imported, and why; `is_chat` says whether it is a chat."""

    location: str
    reason: str
    is_chat: bool = True


Step = WholeChat | ChatPart | Failure


@dataclass(slots=True)
class Batch:
    """Chats to be stored together, and the failures among them; at the end perhaps a part of a large chat."""

    chats: list[WholeChat] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    part: ChatPart | None = None
    messages: int = 0
    bytes: int = 0
    names: set[tuple[str, str]] = field(default_factory=set)

    def add(self, step: Step) -> bool:
        """Adds a step, and says whether there is room for more."""
        if type(step) is Failure:
            self.failures.append(step)
            return len(self.failures) < MAX_BATCH_CHATS
        if type(step) is ChatPart:
            self.part = step
            return False
        assert type(step) is WholeChat
        self.chats.append(step)
        self.messages += step.builder.count
        self.bytes += step.builder.bytes
        self.names |= _names(step.builder)
        return self.messages < MAX_PART_MESSAGES and self.bytes < MAX_PART_BYTES and len(self.chats) < MAX_BATCH_CHATS

    def conflicts(self, step: Step) -> bool:
        """Whether a chat of this batch has a name of this one, and so must be stored before this one is planned."""
        return type(step) is WholeChat and not self.names.isdisjoint(_names(step.builder))


def _names(builder: ChatBuilder) -> set[tuple[str, str]]:
    chat = builder.chat
    return {(builder.user_id, name) for name in (builder.chat_id, chat.source, chat.key and f"key:{chat.key}") if name}


@dataclass(slots=True)
class Reader:
    """Builds chats from records.

    Attributes:
        user_id: the user who gets the chats; with `all_users` only those whose records name no user.
        timestamp: see `Loader.timestamp`.
        messages: how many messages were read.
    """

    user_id: str | None
    all_users: bool
    keep_ids: bool
    timestamp: ConvertTimestamp | None
    messages: int = 0

    def batches(self, steps: Iterable[Step]) -> Iterator[Batch]:
        """Steps in batches. A chat that a batch may conflict with begins the next one."""
        batch = Batch()
        for step in steps:
            if batch.conflicts(step):
                yield batch
                batch = Batch()
            if not batch.add(step):
                yield batch
                batch = Batch()
        yield batch

    def steps(
        self, source: SourceFile, records: Iterable[LocatedRecord | ReadFailure], *, native: bool
    ) -> Iterator[Step]:
        """The chats of a file and its failures, from its records; `native` where these are Chatkeep's own."""
        assembly = _Assembly(self, source, native)
        for record in records:
            yield from assembly.fail(record) if isinstance(record, ReadFailure) else assembly.add(record)
        yield from assembly.finish()

    def start_chat(self, record: Record, native: bool) -> ChatBuilder:
        """The builder of a chat that begins with this record. Raises InvalidRecord."""
        chat = parse(ChatRecord, record)
        user_id = (chat.user_id if self.all_users else None) or self.user_id
        if user_id is None:
            raise InvalidRecord("user_id: it does not say whose it is")
        chat_id = chat.chat_id if self.keep_ids and chat.chat_id else str(uuid7())
        if native:
            if chat.chat_id is None or chat.message_count is None:
                raise InvalidRecord("it has no chat_id, or no message_count")
            if not self.keep_ids:
                # The ids that these name are not kept.
                chat.source, chat.forked_from, chat.forked_at = f"chatkeep:{chat.chat_id}", None, None
                chat.version = 1
        return ChatBuilder(chat, user_id, chat_id, keep_ids=self.keep_ids, timestamp=self.timestamp)


class _Assembly:
    """Builds the chats of a file, one after the other."""

    def __init__(self, reader: Reader, source: SourceFile, native: bool) -> None:
        self._reader = reader
        self._source = source
        self._native = native
        self._builder: ChatBuilder | None = None
        self._location = ""
        self._chats = self._messages = 0
        # Whether what comes belongs to a chat that failed, and whether parts of the chat were given already.
        self._skipping = self._in_parts = False

    def add(self, item: LocatedRecord) -> Sequence[Step]:
        """The steps that a record completes."""
        try:
            return self._add(item, item.record.get("record"))
        except InvalidRecord as error:
            failures = () if self._skipping else (Failure(_location(self._source, item), str(error)),)
            self._builder, self._skipping = None, True
            return failures

    def fail(self, failure: ReadFailure) -> Sequence[Step]:
        """The steps that a record completes which could not be read."""
        steps = self.finish() if failure.starts_chat else []
        if failure.starts_chat or not self._skipping:
            steps.append(Failure(failure.location, failure.reason))
        self._builder, self._skipping = None, True
        return steps

    def finish(self) -> list[Step]:
        """The chat, now that nothing more of it comes."""
        builder, self._builder = self._builder, None
        if builder is None:
            return []
        try:
            builder.finish()
        except InvalidRecord as error:
            return [Failure(self._location, str(error))]
        if self._in_parts:
            return [ChatPart(self._location, builder, builder.rows, last=True)]
        return [WholeChat(self._location, builder)]

    def _add(self, item: LocatedRecord, kind: Any) -> Sequence[Step]:
        if kind == "message":
            return self._add_message(item)
        if kind == "chat":
            return self._start_chat(item)
        if kind == "end":
            return self._end(item)
        if kind not in OWNED:
            raise InvalidRecord("no such record")
        if self._builder is not None:
            self._builder.add_owned(kind, item.record)
        elif not self._skipping:
            raise InvalidRecord(_STRAY)
        return ()

    def _add_message(self, item: LocatedRecord) -> Sequence[Step]:
        self._messages += 1
        self._reader.messages += 1
        builder = self._builder
        if builder is not None:
            builder.add_message(item.record, is_strict=item.is_strict)
            if len(builder.rows["messages"]) >= MAX_PART_MESSAGES or builder.bytes >= MAX_PART_BYTES:
                self._in_parts = True
                return (ChatPart(self._location, builder, builder.take_rows(), last=False),)
        elif not self._skipping:
            raise InvalidRecord(_STRAY)
        return ()

    def _start_chat(self, item: LocatedRecord) -> Sequence[Step]:
        steps = self.finish()
        self._skipping = self._in_parts = False
        self._chats += 1
        self._location = _location(self._source, item)
        try:
            self._builder = self._reader.start_chat(item.record, self._native)
        except InvalidRecord as error:
            steps.append(Failure(self._location, str(error)))
            self._skipping = True
        return steps

    def _end(self, item: LocatedRecord) -> Sequence[Step]:
        steps, record = self.finish(), item.record
        self._skipping = True
        if (record.get("chats"), record.get("messages")) != (self._chats, self._messages):
            reason = f"{self._chats} chats and {self._messages} messages came, and the end says otherwise"
            steps.append(Failure(_location(self._source, item), reason, is_chat=False))
        return steps


def _location(source: SourceFile, item: LocatedRecord) -> str:
    return item.location if isinstance(item.location, str) else source.location(item.location)
