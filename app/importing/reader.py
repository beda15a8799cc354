"""From records to whole chats, in batches that one transaction stores. Runs on a thread beside the event loop."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from uuid_utils import uuid7

from app.archive_formats.records import Record
from app.archive_formats.schemas import Damaged, chat_of
from app.archive_formats.source import Damage, Found, Source
from app.importing.chat_builder import Intake, Moments, Rows

# A chat beyond this is stored in parts, all in one transaction: whole it may not fit into memory.
LARGE_MESSAGES = 5_000
LARGE_BYTES = 8 * 1024 * 1024
CHATS_AT_ONCE = 250
_STRAY = "it belongs to no chat"


@dataclass(frozen=True, slots=True)
class Whole:
    """A chat that is all there."""

    place: str
    intake: Intake


@dataclass(frozen=True, slots=True)
class Part:
    """The rows that came next of a large chat. Only where it is the `last` is the rest of the intake as it will be."""

    place: str
    intake: Intake
    rows: Rows
    last: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """What is wrong: a chat that is not stored, unless `is_chat` says that it is something else."""

    place: str
    reason: str
    is_chat: bool = True


Step = Whole | Part | Failed


@dataclass(slots=True)
class Batch:
    """Chats to be stored together, and what failed among them. A part of a large chat stands alone, at the end."""

    chats: list[Whole] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    part: Part | None = None
    messages: int = 0
    bytes: int = 0
    names: set[tuple[str, str]] = field(default_factory=set)

    def add(self, step: Step) -> bool:
        """Takes a step in, and says whether there is room for more."""
        if type(step) is Failed:
            self.failed.append(step)
            return len(self.failed) < CHATS_AT_ONCE
        if type(step) is Part:
            self.part = step
            return False
        assert type(step) is Whole
        self.chats.append(step)
        self.messages += step.intake.count
        self.bytes += step.intake.bytes
        self.names |= _names(step.intake)
        return self.messages < LARGE_MESSAGES and self.bytes < LARGE_BYTES and len(self.chats) < CHATS_AT_ONCE

    def knows(self, step: Step) -> bool:
        """Whether a chat that it has goes by a name of this one: then that one is there before this one comes."""
        return type(step) is Whole and not self.names.isdisjoint(_names(step.intake))


def _names(intake: Intake) -> set[tuple[str, str]]:
    chat = intake.chat
    return {(intake.user_id, name) for name in (intake.chat_id, chat.source, chat.key and f"key:{chat.key}") if name}


@dataclass(slots=True)
class Reader:
    """Makes chats of records.

    Attributes:
        user_id: whose they become, where the records do not say it or `all_users` is not wanted.
        moment: how the database is given moments; None for text.
        messages: how many messages were seen.
    """

    user_id: str | None
    all_users: bool
    keep_ids: bool
    moment: Moments | None
    messages: int = 0

    def batches(self, steps: Iterable[Step]) -> Iterator[Batch]:
        """Steps, in batches."""
        batch = Batch()
        for step in steps:
            if batch.knows(step):
                yield batch
                batch = Batch()
            if not batch.add(step):
                yield batch
                batch = Batch()
        yield batch

    def steps(self, source: Source, found: Iterable[Found | Damage], *, native: bool) -> Iterator[Step]:
        """The chats that the records of a file say; `native` where those are Chatkeep's own. What is damaged is a step
        of its own."""
        assembly = _Assembly(self, source, native)
        for one in found:
            yield from assembly.damage(one) if isinstance(one, Damage) else assembly.take(one)
        yield from assembly.over()

    def begun(self, record: Record, native: bool) -> Intake:
        """A chat that begins with this record. Raises Damaged."""
        chat = chat_of(record)
        user_id = (chat.user_id if self.all_users else None) or self.user_id
        if user_id is None:
            raise Damaged("user_id: it does not say whose it is")
        chat_id = chat.chat_id if self.keep_ids and chat.chat_id else str(uuid7())
        if native:
            if chat.chat_id is None or chat.message_count is None:
                raise Damaged("it has no chat_id, or no message_count")
            if not self.keep_ids:
                # What these name is not here.
                chat.source, chat.forked_from, chat.forked_at = f"chatkeep:{chat.chat_id}", None, None
                chat.version = 1
        return Intake(chat, user_id, chat_id, keep_ids=self.keep_ids, moment=self.moment)


class _Assembly:
    """Makes chats of the records of a file, one after the other."""

    def __init__(self, reader: Reader, source: Source, native: bool) -> None:
        self._reader = reader
        self._source = source
        self._native = native
        self._intake: Intake | None = None
        self._place = ""
        self._chats = self._messages = 0
        # Whether what comes belongs to a chat that is damaged, and whether some of a chat was given already.
        self._skipping = self._in_parts = False

    def take(self, found: Found) -> Sequence[Step]:
        """What one more record completes."""
        try:
            return self._taken(found, found.record.get("record"))
        except Damaged as error:
            failed = () if self._skipping else (Failed(_place(self._source, found), str(error)),)
            self._intake, self._skipping = None, True
            return failed

    def damage(self, found: Damage) -> Sequence[Step]:
        """What a record that cannot be read ends."""
        steps = self.over() if found.own else []
        if found.own or not self._skipping:
            steps.append(Failed(found.place, found.reason))
        self._intake, self._skipping = None, True
        return steps

    def over(self) -> list[Step]:
        """What is complete when nothing more of it comes."""
        intake, self._intake = self._intake, None
        return [] if intake is None else [_finished(self._place, intake, self._in_parts)]

    def _taken(self, found: Found, kind: Any) -> Sequence[Step]:
        if kind == "message":
            return self._message(found)
        if kind == "chat":
            return self._chat(found)
        if kind == "end":
            return self._end(found)
        if kind not in ("revision", "feedback"):
            raise Damaged("no such record")
        if self._intake is not None:
            (self._intake.revision if kind == "revision" else self._intake.rating)(found.record)
        elif not self._skipping:
            raise Damaged(_STRAY)
        return ()

    def _message(self, found: Found) -> Sequence[Step]:
        self._messages += 1
        self._reader.messages += 1
        intake = self._intake
        if intake is not None:
            intake.message(found.record, clean=found.clean)
            if len(intake.rows.messages) >= LARGE_MESSAGES or intake.bytes >= LARGE_BYTES:
                self._in_parts = True
                return (Part(self._place, intake, intake.take(), last=False),)
        elif not self._skipping:
            raise Damaged(_STRAY)
        return ()

    def _chat(self, found: Found) -> Sequence[Step]:
        steps = self.over()
        self._skipping = self._in_parts = False
        self._chats += 1
        self._place = _place(self._source, found)
        try:
            self._intake = self._reader.begun(found.record, self._native)
        except Damaged as error:
            steps.append(Failed(self._place, str(error)))
            self._skipping = True
        return steps

    def _end(self, found: Found) -> Sequence[Step]:
        steps, record = self.over(), found.record
        self._skipping = True
        if (record.get("chats"), record.get("messages")) != (self._chats, self._messages):
            came = f"{self._chats} chats and {self._messages} messages came, and the end says otherwise"
            steps.append(Failed(_place(self._source, found), came, is_chat=False))
        return steps


def _place(source: Source, found: Found) -> str:
    return found.place if isinstance(found.place, str) else source.place(found.place)


def _finished(place: str, intake: Intake, parts: bool) -> Step:
    try:
        intake.finish()
    except Damaged as error:
        return Failed(place, str(error))
    return Part(place, intake, intake.rows, last=True) if parts else Whole(place, intake)
