"""What is read of a database: the same on both, in order, whatever the sizes, from one moment."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson
import pytest
from sqlalchemy import JSON, insert

from app.archive_formats import exports
from app.chats.listing import FilterConditions
from app.chats.schemas import ChatFilters
from app.chats.store import ChatStore
from app.db.database import Database
from app.exporting.compression import compress
from app.exporting.reader import Selection, read
from app.exporting.snapshot import snapshot_opener
from app.models import metadata
from app.settings import Settings
from tests.archive_formats.record_streams import TIMESTAMP
from tests.callers import Json
from tests.servers.databases import DIALECTS, Databases

NOW = datetime.fromisoformat(TIMESTAMP)
# Their order is another in most languages than by bytes.
USERS = ["Zoe", "ann", "bob", "Ä", "á", "🥚", "_", "ann b", "ann-b"]
# Longer than what comes along with other rows.
LONG = "x" * 9_000
TIMES = (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), NOW, NOW + timedelta(microseconds=7))


class Rows:
    """Rows to put into both databases."""

    def __init__(self) -> None:
        self.random = Random(4)
        self.tables: dict[str, list[Json]] = {}

    def add(self, table: str, **row: Any) -> Json:
        """Adds a row; gives it."""
        self.tables.setdefault(table, []).append(row)
        return row

    def uuid(self) -> str:
        """Any UUID."""
        digits = f"{self.random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def chat(self, user_id: str, messages: int, **said: Any) -> Json:
        """Adds a chat and its messages."""
        at = self.random.choice(TIMES)
        owner = {"user_id": user_id, "chat_id": self.uuid()}
        counters = {"message_count": messages, "last_seq": messages, "head_seq": messages or None}
        # Databases check keys when rows come: the chat first.
        chat = self.add(
            "chats",
            **{
                **owner,
                **dict.fromkeys(("created_at", "updated_at", "last_activity_at", "listed_at"), at),
                **counters,
                "metadata": self.random.choice([{}, {"a": LONG}, {"a": 1.0, "b": None}]),
                "tags": self.random.choice([[], ["x", "y"]]),
                "is_pinned": self.random.choice([True, False]),
                "archived_at": self.random.choice([None, *TIMES]),
                "title": self.random.choice([None, "", "T\0".strip("\0"), "Ä"]),
                **said,
            },
        )
        for seq in range(1, messages + 1):
            self.message(owner, seq)
        return chat

    def message(self, owner: Json, seq: int, **said: Any) -> None:
        """Adds a message, and what hangs on it."""
        random = self.random
        content = random.choice(["x", "x", "x", LONG, [{"type": "text", "text": "ä\n\u2028"}], JSON.NULL, None])
        extra = {
            "metadata": random.choice([None, {}, {"a": [1.5, -0.0, 1e22]}]),
            "payload": random.choice([None, {"type": "reasoning", "x": LONG}]),
            "tokens": random.choice([None, 0, 5]),
            "model": random.choice([None, "m"]),
            "edited_at": random.choice([None, *TIMES]),
            "status": random.choice([None, "failed"]),
        }
        self.add(
            "messages",
            **{
                **owner,
                "seq": seq,
                "message_id": self.uuid(),
                "parent_seq": seq - 1 or None,
                "segment": 0,
                "role": random.choice(["user", "assistant"]),
                "type": "message",
                "content": content,
                "created_at": random.choice(TIMES),
                "tool_calls": None,
                **(extra if random.random() < 0.3 else dict.fromkeys(extra)),
                **said,
            },
        )
        if random.random() < 0.1:
            for revision in range(1, random.choice([2, 4])):
                fields = {
                    "role": "user",
                    "type": "message",
                    "content": random.choice([LONG, "y", None]),
                    "tool_calls": None,
                }
                self.add("revisions", **owner, seq=seq, revision=revision, **fields, replaced_at=random.choice(TIMES))
        if random.random() < 0.1:
            for caller in ("user:Z", "user:a", "key:ä"):
                timestamps = {"created_at": NOW, "updated_at": NOW}
                self.add("feedback", **owner, seq=seq, caller=caller, rating=1, reason=None, text="t", **timestamps)

    def shuffled(self) -> Iterator[tuple[str, list[Json]]]:
        """The tables with their rows, in another order than they are read; owners first."""
        for name in ("chats", "segments", "messages", "streaming_messages", "chunks", "revisions", "feedback"):
            rows = self.tables.get(name, [])
            self.random.shuffle(rows)
            yield name, rows


def sample_rows() -> Rows:
    """Chats of several users: large, small and empty ones, one in the trash, one with an answer in progress."""
    rows = Rows()
    for user_id in USERS:
        for _ in range(rows.random.randint(1, 5)):
            rows.chat(user_id, rows.random.choice([0, 1, 2, 30]))
    for _ in range(280):
        rows.chat("many", rows.random.choice([0, 1, 2, 9]))
    for size in (1000, 1001, 2001):
        rows.chat("large", size)
    rows.chat("bob", 3, deleted_at=NOW, platform="web", key="k", expires_at=NOW, source="x:1", summary="s")
    grows = rows.chat("bob", 0, message_count=1, last_seq=1, head_seq=1)
    position = {"user_id": "bob", "chat_id": grows["chat_id"], "seq": 1}
    rows.message(position, 1, status="in_progress", content=None, metadata={"a": 1}, tokens=3)
    rows.add("streaming_messages", **position, stored=4, touched_at=NOW)
    rows.add("chunks", **position, start=0, text="so ")
    rows.add("chunks", **position, start=3, text="f")
    return rows


@asynccontextmanager
async def filled(databases: Databases, dialect: str, rows: Rows) -> Any:
    """A database with these rows."""
    url = databases.fresh(dialect)
    db = await Database.open(Settings.model_validate({"database_url": url}))
    async with db.write() as session:
        for name, of_table in rows.shuffled():
            table = metadata.tables[name]
            columns = {column for row in of_table for column in row}
            plain = dict.fromkeys(columns)
            if of_table:
                statement = insert(table)
                for start in range(0, len(of_table), 500):
                    await session.execute(
                        statement, [{**_defaults(name), **plain, **row} for row in of_table[start : start + 500]]
                    )
    yield db
    await db.close()
    databases.drop(url)


def _defaults(table: str) -> Json:
    if table != "chats":
        return {}
    return {
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
        "segment": 0,
        "tree_version": 0,
        "last_segment": 0,
        "version": 1,
    }


ALL = Selection(None, (), ())


def of(user_id: str) -> Selection:
    """The selection of a user's chats."""
    return Selection(user_id, ("user_id = $1",), (user_id,))


async def exported(db: Database, name: str, selection: Selection = ALL, *, many: bool = True) -> bytes:
    """An export, made as exports are: on a thread."""

    def make() -> bytes:
        form = exports()[name]
        with snapshot_opener(db)() as snapshot:
            records = read(snapshot, selection, lossless=form.lossless)
            return b"".join(compress(form.write(records, many=many), "identity"))

    return await asyncio.to_thread(make)


@pytest.fixture(scope="module")
async def both(databases: Databases) -> Any:
    """Both databases with the same in them, and what that is."""
    rows = sample_rows()
    async with filled(databases, "sqlite", rows) as one, filled(databases, "postgres", rows) as other:
        yield rows, {"sqlite": one, "postgres": other}


@pytest.mark.parametrize("name", exports())
async def test_both_databases_give_the_same_bytes(both: Any, name: str) -> None:
    _, dbs = both
    for selection in (ALL, of("large"), of("nobody")) if name == "jsonl" else (of("bob"), of("many")):
        one, other = [await exported(dbs[dialect], name, selection) for dialect in DIALECTS]
        assert one == other


@pytest.mark.parametrize("dialect_name", DIALECTS)
async def test_everything_is_there_in_order(both: Any, dialect_name: str) -> None:
    rows, dbs = both
    body = await exported(dbs[dialect_name], "jsonl")
    lines = [orjson.loads(line) for line in body.splitlines()]
    tables = rows.tables
    counted = Counter(line["record"] for line in lines)
    assert counted == {
        "chatkeep": 1,
        "end": 1,
        "chat": len(tables["chats"]),
        "message": len(tables["messages"]),
        "revision": len(tables["revisions"]),
        "feedback": len(tables["feedback"]),
    }
    assert lines[-1] == {"record": "end", "chats": counted["chat"], "messages": counted["message"]}
    positions = []
    owner = ("", "")
    for line in lines[1:-1]:
        if line["record"] == "chat":
            owner = (line["user_id"], line["chat_id"])
        rank = ("chat", "message", "revision", "feedback").index(line["record"])
        last = line.get("revision", 0), line.get("caller", "").encode()
        positions.append(((owner[0].encode(), owner[1]), rank, line.get("seq", 0), last))
    assert positions == sorted(positions)
    contents = {(row["user_id"], row["chat_id"], row["seq"]): row for row in tables["messages"]}
    for line in lines[1:-1]:
        if line["record"] == "chat":
            owner = (line["user_id"], line["chat_id"])
        elif line["record"] == "message":
            row = contents[*owner, line["seq"]]
            assert line["message_id"] == row["message_id"]
            assert line["created_at"] == row["created_at"].isoformat(timespec="microseconds").replace("+00:00", "Z")
            if row["status"] != "in_progress":
                assert ("content" in line) == (row["content"] is not None)
                assert line.get("content") == (None if row["content"] is JSON.NULL else row["content"])
                assert line.get("payload") == row["payload"]


@pytest.mark.parametrize("dialect_name", DIALECTS)
async def test_an_answer_in_progress_is_exported_with_the_text_on_disk(both: Any, dialect_name: str) -> None:
    _, dbs = both
    lines = [orjson.loads(line) for line in (await exported(dbs[dialect_name], "jsonl", of("bob"))).splitlines()]
    (growing,) = [line for line in lines if line.get("status") == "incomplete"]
    assert growing["content"] == "so f"
    assert list(growing)[4:] == ["type", "content", "tokens", "metadata", "status", "created_at"]
    assert "user_id" not in lines[1]


@pytest.mark.parametrize("dialect_name", DIALECTS)
async def test_filters(both: Any, dialect_name: str) -> None:
    rows, dbs = both
    db = dbs[dialect_name]
    filters = FilterConditions(None, ChatFilters(pinned=True, tag=["x"]), {"a": "1.0"}, ChatStore(db, "").list_sql)
    selection = Selection(None, (*filters.conditions, "deleted_at IS NULL"), tuple(filters.arguments))
    lines = [orjson.loads(line) for line in (await exported(db, "jsonl", selection)).splitlines()]
    expected = [
        row["chat_id"]
        for row in rows.tables["chats"]
        if row["is_pinned"] and row["tags"] and row["metadata"].get("a") == 1.0 and not row.get("deleted_at")
    ]
    assert sorted(line["chat_id"] for line in lines if line["record"] == "chat") == sorted(expected) != []
    messages = sum(row["chat_id"] in expected for row in rows.tables["messages"])
    assert lines[-1] == {"record": "end", "chats": len(expected), "messages": messages}
    hanging = sum(row["chat_id"] in expected for name in ("revisions", "feedback") for row in rows.tables[name])
    assert sum(line["record"] in ("revision", "feedback") for line in lines) == hanging


@pytest.mark.parametrize("dialect_name", DIALECTS)
async def test_it_is_one_moment(databases: Databases, dialect_name: str) -> None:
    """What is written while it is read is not in it, wherever the reading is."""
    rows = Rows()
    for size in (1000, 1001, 2001):
        rows.chat("large", size)
    async with filled(databases, dialect_name, rows) as db:
        begun, written = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def make() -> int:
            with snapshot_opener(db)() as snapshot:
                records = read(snapshot, of("large"), lossless=True)
                next(records)
                next(records)
                loop.call_soon_threadsafe(begun.set)
                asyncio.run_coroutine_threadsafe(written.wait(), loop).result(30)
                return sum(record["record"] == "message" for record in records)

        reading = asyncio.create_task(asyncio.to_thread(make))
        await begun.wait()
        more = Rows()
        more.random.seed(5)
        more.chat("large", 20)
        async with db.write() as session:
            for name, of_table in more.shuffled():
                for row in of_table:
                    await session.execute(insert(metadata.tables[name]).values({**_defaults(name), **row}))
        written.set()
        before = await reading
        lines = [orjson.loads(line) for line in (await exported(db, "jsonl", of("large"))).splitlines()]
        assert lines[-1]["messages"] == before + 20
