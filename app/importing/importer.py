"""Importing files: read on a thread beside the event loop, stored chat by chat, several small ones in a transaction."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.archive_formats import ImportFormat, imports
from app.archive_formats.source import Source
from app.db.database import Database
from app.http.database_errors import lost_a_race, problem_of, rolled_back
from app.http.errors import BadRequest
from app.importing.bulk_insert import loader
from app.importing.chat_builder import Intake
from app.importing.conflict_policy import OnConflict, Plan, plan
from app.importing.prefetch import ahead
from app.importing.reader import Batch, Part, Reader, Step, Whole
from app.importing.report import Report
from app.importing.store import Storage

T = TypeVar("T")

_log = structlog.get_logger("chatkeep.import")
_ATTEMPTS = 5
_SECONDS_APART = 0.05
_TAKEN = "an id of it, or its key, is that of another chat"
_DID = {"import": "imported", "skip": "skipped", "replace": "replaced", "copy": "copied"}


@dataclass(frozen=True, slots=True)
class Options:
    """What an import is to do.

    Attributes:
        user_id: whose the chats become; with `all_users` those of records that name nobody.
        format: the name of the files' format; None where it is to be recognised.
        mark: what tells the copies of this request from those of others, if it may be retried.
    """

    user_id: str | None
    all_users: bool = False
    format: str | None = None
    dry_run: bool = False
    on_conflict: OnConflict = "skip"
    keep_ids: bool = False
    mark: str | None = None


class _Abandoned(Exception):
    """A chat is not to be stored after all: by its plan, or because a later part of it turned out to be damaged."""

    def __init__(self, made: Plan | None) -> None:
        self.plan = made


class Importer:
    """One import. `progress` is told how many messages were read by now."""

    def __init__(self, db: Database, options: Options, progress: Callable[[int], None] | None = None) -> None:
        self._db = db
        self._options = options
        self._progress = progress
        self._loader = loader(db)
        self._storage = Storage(db, self._loader)
        self._reader = Reader(options.user_id, options.all_users, options.keep_ids, self._loader.moment)
        # In a dry run: the names of what would be there by now, as hashes.
        self._seen: set[int] = set()
        self._report = Report(options.dry_run)

    async def run(self, sources: Sequence[Source]) -> Report:
        """Imports files. Raises BadRequest (400) where one of them is broken or unknown: then nothing is stored."""
        checked = await asyncio.to_thread(self._checked, sources)
        self._report.formats = [one.name for _, one in checked]
        async with ahead(self._reader.batches(self._steps(checked))) as batches:
            batch = await anext(batches, None)
            while batch is not None:
                await self._store(batch)
                if batch.part is None:
                    batch = await anext(batches, None)
                else:
                    batch = await self._store_parts(batch.part, batches)
        self._report.messages_found = self._reader.messages
        return self._report

    def _checked(self, sources: Sequence[Source]) -> list[tuple[Source, ImportFormat]]:
        """The files with their formats, each gone through once."""
        name = self._options.format
        checked: list[tuple[Source, ImportFormat]] = []
        for source in sources:
            one = recognised(source) if name is None else imports()[name]
            if one is not None:
                one.check(source)
                checked.append((source, one))
            elif not source.optional:
                raise _unknown(source.name)
        if not checked:
            raise _unknown(sources[0].name)
        return checked

    def _steps(self, sources: Sequence[tuple[Source, ImportFormat]]) -> Iterator[Step]:
        for source, one in sources:
            yield from self._reader.steps(source, one.read(source), native=one.native)

    async def _store(self, batch: Batch) -> None:
        """Stores the whole chats of a batch, and reports the others."""
        self._advance()
        for failed in batch.failed:
            self._report.wrong(failed.place, failed.reason, is_chat=failed.is_chat)
        some: list[Whole] = []
        messages = 0
        for one in batch.chats:
            some.append(one)
            messages += one.intake.count
            if messages >= self._loader.rows_at_once:
                await self._store_together(some)
                some, messages = [], 0
        if some:
            await self._store_together(some)

    async def _store_together(self, chats: Sequence[Whole]) -> None:
        """Stores chats in one transaction; those that replace others, and all if that fails, each in its own."""
        if self._options.dry_run:
            for one, made in zip(chats, await self._planned(chats), strict=True):
                self._pretend(one, made)
            return
        plans = await self._try(chats, self._transaction(chats))
        if plans is None:
            for one in chats if len(chats) > 1 else ():
                await self._store_together([one])
            return
        for one, made in zip(chats, plans, strict=True):
            if made.action == "replace":
                replaced = await self._try([one], self._replacement(one))
                if replaced is None:
                    continue
                made = replaced
            self._did(one.place, made)

    async def _try(self, chats: Sequence[Whole], work: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """What a transaction gives; None where the database refuses it, which is reported for a chat alone."""
        for attempt in range(_ATTEMPTS):
            try:
                return await work()
            except Exception as error:
                if (reason := _refusal(error)) is not None:
                    if len(chats) == 1:
                        self._report.wrong(chats[0].place, reason)
                    return None
                if not lost_a_race(error) or attempt == _ATTEMPTS - 1:
                    raise
            await asyncio.sleep(_SECONDS_APART * (attempt + 1))
        raise AssertionError

    def _transaction(self, chats: Sequence[Whole]) -> Callable[[], Coroutine[Any, Any, list[Plan]]]:
        async def work() -> list[Plan]:
            async with self._db.write() as session:
                plans = await self._plans(session, [one.intake for one in chats])
                await self._storage.insert(session, [made for made in plans if made.action in ("import", "copy")])
            return plans

        return work

    def _replacement(self, one: Whole) -> Callable[[], Coroutine[Any, Any, Plan]]:
        async def work() -> Plan:
            async with self._db.write() as session:
                (made,) = await self._plans(session, [one.intake])
                await self._storage.erase(session, made)
                if made.action in ("import", "copy", "replace"):
                    await self._storage.insert(session, [made])
            return made

        return work

    async def _store_parts(self, part: Part, batches: AsyncIterator[Batch]) -> Batch | None:
        """Stores a chat that comes in parts, in one transaction. Gives the batch that comes after it."""
        parts = _Parts(part, batches)
        whole = Whole(part.place, part.intake)
        (made,) = await self._planned([whole])
        if self._options.dry_run or made.action in ("skip", "fail"):
            while await parts.next() is not None:
                self._advance()
            if parts.complete:
                self._pretend(whole, made)
            return await parts.after()
        try:
            made = await self._store_whole(part, parts)
        except _Abandoned as abandoned:
            # What is wrong stands in the batch that comes next, but where somebody else was faster.
            if abandoned.plan is not None:
                self._did(part.place, abandoned.plan)
        except Exception as error:
            if (reason := _refusal(error)) is None:
                raise
            self._report.wrong(part.place, reason)
        else:
            self._did(part.place, made)
        while await parts.next() is not None:
            pass
        return await parts.after()

    async def _store_whole(self, part: Part, parts: "_Parts") -> Plan:
        """Stores a chat of which the first part is here. Raises _Abandoned where it is not to be stored."""
        async with self._db.write() as session:
            (made,) = await self._plans(session, [part.intake])
            if made.action in ("skip", "fail"):
                raise _Abandoned(made)
            await self._storage.erase(session, made)
            await self._storage.begin(session, made)
            await self._storage.add(session, made, part.rows)
            while (following := await parts.next()) is not None:
                self._advance()
                await self._storage.add(session, made, following.rows)
            if not parts.complete:
                raise _Abandoned(None)
            await self._storage.end(session, made)
        return made

    async def _planned(self, chats: Sequence[Whole]) -> list[Plan]:
        async with self._db.read() as session:
            return await self._plans(session, [one.intake for one in chats])

    async def _plans(self, session: AsyncSession, intakes: Sequence[Intake]) -> list[Plan]:
        options = self._options
        there = await self._storage.there(session, intakes, options.mark)
        return [
            plan(one, there[one.user_id], options.on_conflict, keep_ids=options.keep_ids, mark=options.mark)
            for one in intakes
        ]

    def _pretend(self, one: Whole, made: Plan) -> None:
        """Counts what would be done with a chat, after all that would have been done before it."""
        chat = one.intake.chat
        names = {hash((one.intake.user_id, name)) for name in (one.intake.chat_id, chat.source) if name}
        if made.action == "import" and not self._seen.isdisjoint(names):
            made.action = self._options.on_conflict
        self._seen |= names
        self._did(one.place, made)

    def _did(self, place: str, made: Plan) -> None:
        if made.action == "fail":
            self._report.wrong(place, made.reason)
        else:
            self._report.did(_DID[made.action], 0 if made.action == "skip" else made.intake.count)

    def _advance(self) -> None:
        if self._progress is not None:
            self._progress(self._reader.messages)


class _Parts:
    """What follows the first part of a large chat."""

    def __init__(self, first: Part, batches: AsyncIterator[Batch]) -> None:
        self._part = first
        self._batches = batches
        self._other: Batch | None = None
        self._over = first.last

    @property
    def complete(self) -> bool:
        """Whether its last part has come."""
        return self._part.last

    async def next(self) -> Part | None:
        """Its next part; None when there is none, since it is complete or damaged."""
        if self._over:
            return None
        batch = await anext(self._batches, None)
        if batch is None or batch.part is None or batch.part.intake is not self._part.intake:
            self._over, self._other = True, batch
            return None
        self._part = batch.part
        self._over = batch.part.last
        return batch.part

    async def after(self) -> Batch | None:
        """The batch that follows."""
        return self._other if self._other is not None else await anext(self._batches, None)


def recognised(source: Source) -> ImportFormat | None:
    """The format of a file; None where it is none that can be read."""
    return next((one for one in imports().values() if one.recognise(source)), None)


def _unknown(name: str) -> BadRequest:
    names = ", ".join(sorted(imports()))
    return BadRequest(f"The file {name} is of no format that is recognised. Name it with ?format=, one of: {names}.")


def _refusal(error: BaseException) -> str | None:
    """Why the database will never take a chat as it is; None where the failure is another one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, IntegrityError | asyncpg.IntegrityConstraintViolationError | sqlite3.IntegrityError):
            return _TAKEN
        cause = cause.__cause__
    if problem_of(error) is None and rolled_back(error):
        _log.warning("the database refused a chat", error=type(error).__name__)
        return "the database refuses it"
    return None
