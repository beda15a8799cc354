"""Importer: reads files on a thread beside the event loop, and stores their chats, small ones together."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import asyncpg
import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.archive_formats import ImportFormat, imports
from app.archive_formats.source_file import SourceFile
from app.db.database import Database
from app.http.database_errors import is_duplicate_in_copy, lost_a_race, problem_of, rolled_back
from app.http.errors import BadRequest
from app.importing import conflict_policy
from app.importing.bulk_insert import loader_of
from app.importing.chat_builder import Rows
from app.importing.conflict_policy import OnConflict, Plan
from app.importing.prefetch import prefetch
from app.importing.reader import Batch, ChatPart, Reader, Step, WholeChat
from app.importing.report import Report
from app.importing.store import ImportStore

T = TypeVar("T")

_log = structlog.get_logger("chatkeep.import")
_ATTEMPTS = 5
_RETRY_SECONDS = 0.05
_ID_IN_USE = "an id of it, or its key, is that of another chat"
_OUTCOMES = {"import": "imported", "skip": "skipped", "replace": "replaced", "copy": "copied"}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of an import.

    Attributes:
        user_id: the user who gets the chats; with `all_users` only those whose records name no user.
        format: the name of the files' format; None to detect it.
        mark: see `conflict_policy.plan`; None where the request cannot be retried.
    """

    user_id: str | None
    all_users: bool = False
    format: str | None = None
    dry_run: bool = False
    on_conflict: OnConflict = "skip"
    keep_ids: bool = False
    mark: str | None = None


class _RolledBack(Exception):
    """A chat is not stored after all: by its plan, or (without one) because a later part of it is invalid."""

    def __init__(self, plan: Plan | None) -> None:
        self.plan = plan


class Importer:
    """One import. `progress` is called with the number of messages read so far."""

    def __init__(self, db: Database, options: Options, progress: Callable[[int], None] | None = None) -> None:
        self._db = db
        self._options = options
        self._progress = progress
        self._loader = loader_of(db)
        self._store = ImportStore(db, self._loader)
        self._reader = Reader(options.user_id, options.all_users, options.keep_ids, self._loader.timestamp)
        # In a dry run: hashes of the ids and sources that would be stored by now.
        self._seen: set[int] = set()
        self._report = Report(options.dry_run)

    async def run(self, sources: Sequence[SourceFile]) -> Report:
        """Imports files. Raises BadRequest (400) where one of them is broken or unknown: then nothing is stored."""
        files = await asyncio.to_thread(self._detect_formats, sources)
        self._report.formats = [format_.name for _, format_ in files]
        async with prefetch(self._reader.batches(self._steps(files))) as batches:
            batch = await anext(batches, None)
            while batch is not None:
                await self._store_batch(batch)
                if batch.part is None:
                    batch = await anext(batches, None)
                else:
                    batch = await self._store_parts(batch.part, batches)
        self._report.messages_found = self._reader.messages
        return self._report

    def _detect_formats(self, sources: Sequence[SourceFile]) -> list[tuple[SourceFile, ImportFormat]]:
        """The files with their formats, each read once to check it. Raises BadRequest (400)."""
        name = self._options.format
        files: list[tuple[SourceFile, ImportFormat]] = []
        for source in sources:
            format_ = detect_format(source) if name is None else imports()[name]
            if format_ is not None:
                format_.check(source)
                files.append((source, format_))
            elif not source.optional:
                raise _unknown(source.name)
        if not files:
            raise _unknown(sources[0].name)
        return files

    def _steps(self, files: Sequence[tuple[SourceFile, ImportFormat]]) -> Iterator[Step]:
        for source, format_ in files:
            yield from self._reader.steps(source, format_.read(source), native=format_.native)

    async def _store_batch(self, batch: Batch) -> None:
        """Stores the whole chats of a batch, and reports its failures."""
        self._advance()
        for failure in batch.failures:
            self._report.add_error(failure.location, failure.reason, is_chat=failure.is_chat)
        group: list[WholeChat] = []
        messages = 0
        for chat in batch.chats:
            if group and self._db.users_at_once == 1 and chat.builder.user_id != group[-1].builder.user_id:
                await self._store_group(group)
                group, messages = [], 0
            group.append(chat)
            messages += chat.builder.count
            if messages >= self._loader.rows_at_once:
                await self._store_group(group)
                group, messages = [], 0
        if group:
            await self._store_group(group)

    async def _store_group(self, chats: Sequence[WholeChat]) -> None:
        """Stores chats in one transaction; those that replace others, and all if that fails, each in its own."""
        if self._options.dry_run:
            for chat, plan in zip(chats, await self._read_plans(chats), strict=True):
                self._simulate(chat, plan)
            return
        plans = await self._try(chats, self._insert)
        if plans is None:
            for chat in chats if len(chats) > 1 else ():
                await self._store_group([chat])
            return
        for chat, plan in zip(chats, plans, strict=True):
            if plan.action == "replace":
                replaced = await self._try([chat], self._replace)
                if replaced is None:
                    continue
                plan = replaced
            self._report_outcome(chat.location, plan)

    async def _try(self, chats: Sequence[WholeChat], work: Callable[[Sequence[WholeChat]], Awaitable[T]]) -> T | None:
        """The result of a transaction; None where the database refuses it, which is reported for a single chat."""
        for attempt in range(_ATTEMPTS):
            try:
                return await work(chats)
            except Exception as error:
                if (reason := _refusal(error)) is not None:
                    if len(chats) == 1:
                        self._report.add_error(chats[0].location, reason)
                    return None
                if not lost_a_race(error) or attempt == _ATTEMPTS - 1:
                    raise
            await asyncio.sleep(_RETRY_SECONDS * (attempt + 1))
        raise AssertionError

    async def _insert(self, chats: Sequence[WholeChat]) -> list[Plan]:
        async with self._db.write() as session:
            plans = await self._plans(session, chats)
            await self._store.insert(session, [plan for plan in plans if plan.action in ("import", "copy")])
        return plans

    async def _replace(self, chats: Sequence[WholeChat]) -> Plan:
        async with self._db.write() as session:
            (plan,) = await self._plans(session, chats)
            await self._store.erase(session, plan)
            if plan.action in ("import", "copy", "replace"):
                await self._store.insert(session, [plan])
        return plan

    async def _store_parts(self, part: ChatPart, batches: AsyncIterator[Batch]) -> Batch | None:
        """Stores a chat that comes in parts, in one transaction. Gives the batch that comes after it."""
        parts = _Parts(part, batches)
        chat = WholeChat(part.location, part.builder)
        (plan,) = await self._read_plans([chat])
        if self._options.dry_run or plan.action in ("skip", "fail"):
            while await parts.next() is not None:
                self._advance()
            if parts.complete:
                self._simulate(chat, plan)
            return await parts.after()
        try:
            plan = await self._store_large(chat, part.rows, parts)
        except _RolledBack as rolled_back_chat:
            # Without a plan, the failure is in the batch that comes next.
            if rolled_back_chat.plan is not None:
                self._report_outcome(part.location, rolled_back_chat.plan)
        except Exception as error:
            if (reason := _refusal(error)) is None:
                raise
            self._report.add_error(part.location, reason)
        else:
            self._report_outcome(part.location, plan)
        while await parts.next() is not None:
            pass
        return await parts.after()

    async def _store_large(self, chat: WholeChat, rows: Rows, parts: "_Parts") -> Plan:
        """Stores a chat from its first rows and the parts that follow. Raises _RolledBack where it is not stored."""
        async with self._db.write() as session:
            (plan,) = await self._plans(session, [chat])
            if plan.action in ("skip", "fail"):
                raise _RolledBack(plan)
            await self._store.erase(session, plan)
            await self._store.begin(session, plan)
            await self._store.add(session, plan, rows)
            while (following := await parts.next()) is not None:
                self._advance()
                await self._store.add(session, plan, following.rows)
            if not parts.complete:
                raise _RolledBack(None)
            await self._store.end(session, plan)
        return plan

    async def _read_plans(self, chats: Sequence[WholeChat]) -> list[Plan]:
        async with self._db.read() as session:
            return await self._plans(session, chats)

    async def _plans(self, session: AsyncSession, chats: Sequence[WholeChat]) -> list[Plan]:
        options = self._options
        builders = [chat.builder for chat in chats]
        existing = await self._store.existing(session, builders, options.mark)
        return [
            conflict_policy.plan(
                builder, existing[builder.user_id], options.on_conflict, keep_ids=options.keep_ids, mark=options.mark
            )
            for builder in builders
        ]

    def _simulate(self, chat: WholeChat, plan: Plan) -> None:
        """Reports what would be done with a chat in a dry run, as if the chats before it were stored."""
        builder = chat.builder
        names = {hash((builder.user_id, name)) for name in (builder.chat_id, builder.chat.source) if name}
        if plan.action == "import" and not self._seen.isdisjoint(names):
            plan.action = self._options.on_conflict
        self._seen |= names
        self._report_outcome(chat.location, plan)

    def _report_outcome(self, location: str, plan: Plan) -> None:
        if plan.action == "fail":
            self._report.add_error(location, plan.reason)
        else:
            self._report.add_chat(_OUTCOMES[plan.action], 0 if plan.action == "skip" else plan.builder.count)
            if plan.action != "skip" and (seqs := plan.builder.repeated_keys):
                others = f" and {len(seqs) - 1} others" if len(seqs) > 1 else ""
                reason = f"key: left out of message {seqs[0]}{others}, since a message before has the same"
                self._report.add_error(location, reason, is_chat=False)

    def _advance(self) -> None:
        if self._progress is not None:
            self._progress(self._reader.messages)


class _Parts:
    """The parts of a large chat after the first."""

    def __init__(self, first: ChatPart, batches: AsyncIterator[Batch]) -> None:
        self._part = first
        self._batches = batches
        self._next_batch: Batch | None = None
        self._ended = first.last

    @property
    def complete(self) -> bool:
        """Whether its last part has come."""
        return self._part.last

    async def next(self) -> ChatPart | None:
        """The next part; None when there is none, since the chat is complete or invalid."""
        if self._ended:
            return None
        batch = await anext(self._batches, None)
        if batch is None or batch.part is None or batch.part.builder is not self._part.builder:
            self._ended, self._next_batch = True, batch
            return None
        self._part = batch.part
        self._ended = batch.part.last
        return batch.part

    async def after(self) -> Batch | None:
        """The batch after the chat."""
        return self._next_batch if self._next_batch is not None else await anext(self._batches, None)


def detect_format(source: SourceFile) -> ImportFormat | None:
    """The format of a file; None where no import format matches."""
    return next((format_ for format_ in imports().values() if format_.matches(source)), None)


def _unknown(name: str) -> BadRequest:
    names = ", ".join(sorted(imports()))
    return BadRequest(f"The file {name} is of no format that is recognised. Name it with ?format=, one of: {names}.")


def _refusal(error: BaseException) -> str | None:
    """Why the database will never take a chat as it is; None for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, IntegrityError | asyncpg.IntegrityConstraintViolationError | sqlite3.IntegrityError):
            return _ID_IN_USE
        if is_duplicate_in_copy(cause):
            return _ID_IN_USE
        cause = cause.__cause__
    if problem_of(error) is None and rolled_back(error):
        _log.warning("the database refused a chat", error=type(error).__name__)
        return "the database refuses it"
    return None
