"""A million messages of a hundred users, as the service would have written them within a year, in a minute or two.

`python -m bench.million --database-url …` migrates a database and fills it. The same numbers give the same messages, to
the last id. The search index is not filled: a service does that in the background (`wait_for_index`), or `index` does.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Annotated

import typer
from rich.console import Console

from app.db import migrations
from app.db.database import Database
from app.search.indexer import SearchIndexer
from app.settings import Settings
from bench import made_up
from bench.bulk import Bulk, opened
from bench.made_up import MadeUp

AT_ONCE = 20_000
WORDS_OF_EACH = 20
OF_USAGE = ["user_id", "position", "active_chats", "deleted_chats", *made_up.TOTALS, "longest", "first_at", "last_at"]
OF_KINDS = ["user_id", "kind", "name", "active_chats", "deleted_chats", *made_up.TOTALS]
TIME_BUCKET_COLUMNS = ["user_id", "time_bucket", "chats", *made_up.TOTALS]


@dataclass(frozen=True)
class Word:
    """A word, and how many of its user's messages have it (those in the trash not counted, and no title has it)."""

    text: str
    messages: int


@dataclass(frozen=True)
class Million:
    """What was made.

    Attributes:
        users: their ids.
        rare: of each user, up to 20 words that one to five of their messages have; `ILIKE '%word%'` finds the same.
        common: of each user, the words that 20 to 50 % of their messages have, those that most have first.
        seconds: how long that took, migration and all.
    """

    url: str
    messages: int
    chats: int
    users: tuple[str, ...]
    rare: dict[str, tuple[Word, ...]]
    common: dict[str, tuple[Word, ...]]
    seconds: float


def fill(
    url: str,
    messages: int = 1_000_000,
    users: int = 100,
    seed: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> Million:
    """Migrates a database that has no chats, and fills it. `say` hears how far it is.

    Chats have 2 to 28 messages, one of a hundred has 200 to 800; one of fifty is in the trash. Not to be called within
    a running event loop.
    """
    began = time.perf_counter()
    asyncio.run(_migrate(url))
    made = MadeUp(messages, users, seed, made_up.moment_on(url))
    with opened(url) as bulk:
        chats = _insert(bulk, made, lambda count: say(f"{count:,} of {messages:,} messages"))
        say("counters")
        bulk.insert("feeds", ["user_id", "position", "pruned"], made.feeds())
        bulk.insert("usage", OF_USAGE, made.usage())
        bulk.insert("usage_by", OF_KINDS, made.usage_by())
        bulk.insert("usage_time_buckets", TIME_BUCKET_COLUMNS, made.usage_time_buckets())
        bulk.settle()
    random = Random(seed)
    return Million(
        url,
        messages,
        chats,
        tuple(user.name for user in made.users),
        {user.name: _words(random.sample(found := user.rare(), min(WORDS_OF_EACH, len(found)))) for user in made.users},
        {user.name: _words(sorted(user.common(), key=lambda one: -one[1])) for user in made.users},
        time.perf_counter() - began,
    )


def _words(found: list[tuple[str, int]]) -> tuple[Word, ...]:
    return tuple(Word(text, messages) for text, messages in found)


async def _migrate(url: str) -> None:
    db = await Database.open(Settings.model_validate({"database_url": url}))
    try:
        await migrations.upgrade(db)
    finally:
        await db.close()


def _insert(bulk: Bulk, made: MadeUp, say: Callable[[int], None]) -> int:
    """Inserts the chats and their messages; gives how many chats there are."""
    chats, written = 0, 0
    for rows in _gathered(made.rows()):
        chats += len(rows)
        messages = [message for _, its in rows for message in its]
        written += len(messages)
        bulk.insert("chats", made_up.CHATS, [chat for chat, _ in rows])
        bulk.insert("messages", made_up.MESSAGES, messages)
        say(written)
    return chats


def _gathered(
    rows: Iterator[tuple[made_up.Row, list[made_up.Row]]],
) -> Iterator[list[tuple[made_up.Row, list[made_up.Row]]]]:
    """Chats by as many as have some 20,000 messages."""
    gathered, messages = [], 0
    for chat, its in rows:
        gathered.append((chat, its))
        messages += len(its)
        if messages >= AT_ONCE:
            yield gathered
            gathered, messages = [], 0
    if gathered:
        yield gathered


def index(url: str) -> float:
    """Builds the search index, in this process, and gives the seconds that took. Not to be called within a loop."""
    began = time.perf_counter()
    asyncio.run(_index(url))
    return time.perf_counter() - began


async def _index(url: str) -> None:
    db = await Database.open(Settings.model_validate({"database_url": url}))
    try:
        indexer = SearchIndexer(db)
        while users := await indexer.users_behind():
            await indexer.index_users(users)
        await indexer.close()
    finally:
        await db.close()


def wait_for_index(url: str, limit: float = 3600) -> float:
    """Waits until everything of everybody is in the search index, and gives the seconds since it was called.

    It only looks: a service must be running on the database, which indexes what it finds. Raises TimeoutError.
    """
    began = time.perf_counter()
    waiting = (
        "SELECT count(*) FROM feeds f LEFT JOIN indexing i ON i.user_id = f.user_id "
        "WHERE i.position IS NULL OR i.position < f.position OR i.rebuilt_chat IS NOT NULL"
    )
    with opened(url) as bulk:
        while bulk.query(waiting)[0][0]:
            if time.perf_counter() - began > limit:
                raise TimeoutError("the search index was not built in time")
            time.sleep(0.2)
    return time.perf_counter() - began


def main(
    database_url: Annotated[str, typer.Option(help="Where to: sqlite:///… or postgresql://…, without chats.")],
    messages: Annotated[int, typer.Option(min=1)] = 1_000_000,
    users: Annotated[int, typer.Option(min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Other seeds give other messages.")] = 1,
    indexed: Annotated[bool, typer.Option("--index", help="Build the search index too.")] = False,
) -> None:
    """Fills a database, and says how long that took, and which words are rare and common there."""
    console = Console()
    with console.status("starting") as status:
        made = fill(database_url, messages, users, seed, status.update)
    size = f"{made.messages:,} messages in {made.chats:,} chats of {len(made.users)} users"
    console.print(f"{size}: {made.seconds:.0f} s", highlight=False)
    if indexed:
        console.print(f"the search index: {index(database_url):.0f} s", highlight=False)
    user = made.users[0]
    for kind, words in (("rare", made.rare[user]), ("common", made.common[user])):
        shown = ", ".join(f"{word.text} ({word.messages})" for word in words[:10])
        console.print(f"{kind} words of {user}: {shown}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
