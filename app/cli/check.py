"""`chatkeep check`: compares counters, search documents and all that belongs to chats, straight on the database."""

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import delete, event
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.check import stray_rows
from app.cli.database import failure, open_database, read_settings
from app.cli.options import JsonOutput
from app.cli.terminal import format_json
from app.db import migrations
from app.db.database import Database
from app.db.driver import SessionReader
from app.models import Bucket, Document, Indexing
from app.search.check import IndexCheck
from app.search.indexer import SearchIndexer
from app.search.tokenizer import TOKENIZER_VERSION
from app.settings import Settings
from app.stats.check import Difference, Recount
from app.stats.counters import Counters
from app.stats.repair import repair_chat, repair_user

MAX_SHOWN = 100
_MAX_REPAIRS = 10_000
_CHAT_KINDS = ("chat", "last_seq", "list")
_COUNTER_KINDS = ("total", "role", "model", "platform", "time_bucket", "longest")


@dataclass
class Report:
    """The result: at most MAX_SHOWN differences, and how many there were."""

    users: int = 0
    messages: int = 0
    not_indexed: int = 0
    found: int = 0
    differences: list[dict[str, Any]] = field(default_factory=list)
    # What can be repaired: users with wrong counters or documents, and chats.
    counters: set[str] = field(default_factory=set)
    documents: set[str] = field(default_factory=set)
    chats: set[tuple[str, str]] = field(default_factory=set)

    def add(self, difference: dict[str, Any]) -> None:
        """Counts a difference, and has the first ones shown."""
        self.found += 1
        if len(self.differences) < MAX_SHOWN:
            self.differences.append(difference)

    def add_counter(self, difference: Difference) -> None:
        """Adds a difference of counters, and what to repair."""
        self.add(difference.json())
        if len(self.chats) + len(self.counters) < _MAX_REPAIRS:
            if difference.what in _CHAT_KINDS:
                self.chats.add((difference.user_id, difference.name))
            elif difference.what in _COUNTER_KINDS:
                self.counters.add(difference.user_id)

    def json(self) -> dict[str, Any]:
        """As JSON."""
        names = ("users", "messages", "not_indexed", "found", "differences")
        return {"ok": not self.found, **{name: getattr(self, name) for name in names}}


def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Set wrong counters right, and have wrong documents made anew.")
    ] = False,
    json: JsonOutput = False,
) -> None:
    """Recount everything and compare: the counters of chats and of the statistics, and the documents of the search.

    On SQLite the file is checked too. It reads one moment of the database, also while the service runs and writes.
    Exits with 0 if all agrees, with 1 and a list of differences if not.
    """
    report = asyncio.run(_check(read_settings(), repair=repair))
    if json:
        typer.echo(format_json(report.json()))
    else:
        _print(report, repaired=repair)
    raise typer.Exit(int(report.found > 0))


def _print(report: Report, *, repaired: bool) -> None:
    for difference in report.differences:
        typer.echo(orjson.dumps(difference).decode())
    if report.found > len(report.differences):
        typer.echo(f"and {report.found - len(report.differences):,} more.")
    total = f"{report.messages:,} messages of {report.users:,} users"
    if report.not_indexed:
        typer.echo(f"The search has not come to {report.not_indexed:,} users yet: their documents were not compared.")
    if not report.found:
        typer.echo(f"All agrees: {total}.")
    elif repaired:
        typer.echo(f"{report.found:,} differences in {total}. What can be was set right; check again to see.")
    else:
        typer.echo(f"{report.found:,} differences in {total}. chatkeep check --repair sets counters right.")


async def _check(settings: Settings, *, repair: bool) -> Report:
    report = Report()
    async with open_database(settings) as db:
        _remove_limits(db)
        if not await migrations.is_current(db):
            raise failure("The schema is not the current one: chatkeep migrate")
        await _catch_up(db, settings)
        with _progress() as progress:
            async with db.snapshot() as session:
                if db.kind == "sqlite":
                    await _check_file(session, report, progress)
                await _compare(db, session, settings, report, progress)
        if repair:
            await _repair(db, report)
    return report


async def _catch_up(db: Database, settings: Settings) -> None:
    """Brings counters and index up to date, so that little is pending in the snapshot that is compared."""
    await Counters(db).catch_up(None)
    if settings.search:
        indexer = SearchIndexer(db)
        behind = list(await indexer.users_behind())
        states = await indexer.queries.states(behind) if behind else []
        # Indexing users again takes long, and is left to the service.
        await indexer.index_users([state.user_id for state in states if not state.needs_rebuild(TOKENIZER_VERSION)])
        await indexer.close()


async def _compare(db: Database, session: AsyncSession, settings: Settings, report: Report, progress: Progress) -> None:
    reader = SessionReader(session)
    recount, index = Recount(reader, db.kind), IndexCheck(reader, db.kind)
    report.messages = await recount.messages()
    task = progress.add_task("messages", total=report.messages)
    async for user_id in recount.users():
        report.users += 1
        for difference in await recount.differences(user_id):
            report.add_counter(difference)
        for table, chat_id in await stray_rows(reader, user_id):
            report.add({"user_id": user_id, "what": "stray", "name": chat_id, "table": table})
        if settings.search and not await index.is_current(user_id):
            report.not_indexed += 1
        elif settings.search:
            for mismatch in await index.mismatches(user_id, MAX_SHOWN):
                report.add({"user_id": user_id, "what": "document", **mismatch._asdict()})
                report.documents.add(user_id)
        progress.advance(task, await recount.messages(user_id))


async def _check_file(session: AsyncSession, report: Report, progress: Progress) -> None:
    reader = SessionReader(session)
    task = progress.add_task("the file", total=2)
    for (text,) in await reader.fetch(f"PRAGMA integrity_check({MAX_SHOWN})"):
        if text != "ok":
            report.add({"what": "file", "name": text})
    progress.advance(task)
    for table, rowid, parent, _ in await reader.fetch(f"SELECT * FROM pragma_foreign_key_check LIMIT {MAX_SHOWN}"):
        report.add({"what": "foreign key", "name": f"{table}, row {rowid}, has no {parent}"})
    progress.advance(task)


async def _repair(db: Database, report: Report) -> None:
    for user_id, chat_id in sorted(report.chats):
        await repair_chat(db, user_id, chat_id)
    for user_id in sorted(report.counters | {user_id for user_id, _ in report.chats}):
        await repair_user(db, user_id)
    for user_id in sorted(report.documents):
        # Without a row in `indexing` the user is indexed anew, by the service or with the next search.
        async with db.write() as session:
            for table in (Indexing, Document, Bucket):
                await session.execute(delete(table).where(col(table.user_id) == user_id))
    await Counters(db).catch_up(None)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _remove_limits(db: Database) -> None:
    """Lets statements take as long as they need, and sort on disk."""

    @event.listens_for(db.engine.sync_engine, "do_connect")
    def _no_timeout(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        if db.kind == "postgres":
            options["command_timeout"] = None

    @event.listens_for(db.engine.sync_engine, "connect")
    def _sort_on_disk(connection: Any, _record: Any) -> None:
        if db.kind == "sqlite":
            cursor = connection.cursor()
            cursor.execute("PRAGMA temp_store = FILE")
            cursor.close()
