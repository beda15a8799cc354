"""`python -m bench.listeners`: many who write, many who listen and are cut off at random, through several processes.

Every listener must end with exactly what was acknowledged, in the order of the feed: nothing lost, nothing twice.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console

from bench.crash import Database
from bench.following import EventListener, Json, Listener, SocketListener
from tests.servers.postgres import PostgresServer
from tests.servers.service import ServiceProcess

Key = tuple[str, str, int]
SHOWN_FAULTS = 20
USERS = ("ann", "bob")
SETTLE_SECONDS = 30


@dataclass
class Outcome:
    """What happened, and what should not have.

    Attributes:
        sent, acknowledged: when each change was sent and when it was answered, in seconds of `time.perf_counter`.
        received: how long after each of the two it was with a listener, in seconds.
    """

    sent: dict[Key, float] = field(default_factory=dict)
    acknowledged: dict[Key, float] = field(default_factory=dict)
    expected: Counter[Key] = field(default_factory=Counter)
    after_sent: list[float] = field(default_factory=list)
    after_acknowledged: list[float] = field(default_factory=list)
    cuts: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.expected.total()} changes, {len(self.after_sent)} deliveries measured, {self.cuts} cuts; "
            f"from sending p50 {_ms(self.after_sent, 0.5)}, p99 {_ms(self.after_sent, 0.99)}; "
            f"from acknowledgement p50 {_ms(self.after_acknowledged, 0.5)}, p99 {_ms(self.after_acknowledged, 0.99)}"
        )

    def noted(self, keys: list[Key], sent: float) -> None:
        """An acknowledged write made these changes."""
        at = time.perf_counter()
        for key in keys:
            self.expected[key] += 1
            self.sent.setdefault(key, sent)
            self.acknowledged.setdefault(key, at)


def _ms(seconds: list[float], share: float) -> str:
    ordered = sorted(seconds)
    return f"{ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000:.0f} ms" if ordered else "-"


def key_of(change: Json) -> Key:
    """What tells a change from another: its type, its chat, and the message it is about."""
    return change["type"], change["chat_id"], change.get("seq", 0)


class Writers:
    """Clients that write all sorts of things for one user, and note what was acknowledged."""

    def __init__(self, base_url: str, headers: Json, outcome: Outcome, shared_chat: str) -> None:
        self.base_url = base_url
        self.headers = headers
        self.outcome = outcome
        self.shared_chat = shared_chat

    async def write(self, until: float, pause: Callable[[], float]) -> None:
        """One of them, until a moment of `time.perf_counter`."""
        chats: list[str] = []
        async with httpx2.AsyncClient(
            base_url=self.base_url, headers=self.headers, timeout=30, trust_env=False, verify=False
        ) as client:
            while time.perf_counter() < until:
                await self._one(client, chats)
                await asyncio.sleep(pause())

    async def _one(self, client: httpx2.AsyncClient, chats: list[str]) -> None:
        what = random.choices(
            ("append", "shared", "create", "edit", "delete", "patch", "trash"), (8, 8, 1, 2, 1, 1, 1)
        )[0]
        if not chats or what == "create":
            body = await self._call(client, "POST", "/chats", lambda chat: [("chat.created", chat["chat_id"], 0)], {})
            chats.append(body["chat_id"])
            return
        chat = random.choice(chats)
        if what in ("append", "shared"):
            chat = self.shared_chat if what == "shared" else chat
            batch: Json = {"messages": [{"role": "user", "content": "Hello there"}] * random.choice((1, 1, 2, 3))}
            await self._call(
                client,
                "POST",
                f"/chats/{chat}/messages",
                lambda body: [("message.appended", chat, message["seq"]) for message in body["messages"]],
                batch,
            )
        elif what == "patch":
            await self._call(client, "PATCH", f"/chats/{chat}", lambda _: [("chat.updated", chat, 0)], {"title": "t"})
        elif what == "trash":
            await self._call(client, "DELETE", f"/chats/{chat}", lambda _: [("chat.deleted", chat, 0)])
            await self._call(client, "POST", f"/chats/{chat}/restore", lambda _: [("chat.restored", chat, 0)])
        else:
            page = (await client.get(f"/chats/{chat}/messages", params={"last": 5})).raise_for_status().json()["items"]
            if page:
                seq = random.choice(page)["seq"]
                path = f"/chats/{chat}/messages/{seq}"
                if what == "edit":
                    edited: Json = {"content": f"edited {random.random()}"}
                    await self._call(client, "PATCH", path, lambda _: [("message.edited", chat, seq)], edited)
                else:
                    await self._call(client, "DELETE", path, lambda _: [("message.deleted", chat, seq)])

    async def _call(
        self, client: httpx2.AsyncClient, method: str, path: str, changes: Callable[[Json], list[Key]], body: Any = None
    ) -> Json:
        sent = time.perf_counter()
        answer = (await client.request(method, path, json=body)).raise_for_status()
        said: Json = answer.json() if answer.content else {}
        self.outcome.noted(changes(said), sent)
        return said


async def feed(client: httpx2.AsyncClient, **query: Any) -> list[Json]:
    """All changes there are, read page by page."""
    changes: list[Json] = []
    while True:
        page = (await client.get("/changes", params={"limit": 200, **query})).raise_for_status().json()
        changes += page["items"]
        if not page["has_more"]:
            return changes
        query["since"] = page["cursor"]


class Trial:
    """Users who write and listen through a service, and what became of it."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service
        self.outcome = Outcome()
        self.clients: dict[str, httpx2.AsyncClient] = {}
        self.shared: dict[str, str] = {}
        self.listeners: list[tuple[str, Listener]] = []

    async def run(self, *, seconds: float, writers: int, listeners: int, cuts: int, writes_a_second: float) -> Outcome:
        """Writes for so long while others listen, and compares what each of those got with what was acknowledged."""
        async with AsyncExitStack() as stack:
            for user in USERS:
                client = httpx2.AsyncClient(
                    base_url=self.service.base_url, headers=self.service.headers(user), timeout=30, trust_env=False
                )
                self.clients[user] = await stack.enter_async_context(client)
                await self._make_shared_chat(user)
            self.listeners = [self._listener(number) for number in range(listeners)]
            between = seconds / (cuts + 1)
            listening = [
                asyncio.create_task(one.listen(cuts, lambda: random.uniform(0, 2 * between)))
                for _, one in self.listeners
            ]
            until = time.perf_counter() + seconds
            await asyncio.gather(*(self._write(number, until, writes_a_second) for number in range(writers)))
            await self._cut_the_rest(cuts)
            await self._compare()
            for task in listening:
                task.cancel()
            ends = await asyncio.gather(*listening, return_exceptions=True)
        self.outcome.faults += [repr(end) for end in ends if not isinstance(end, asyncio.CancelledError)]
        self.outcome.cuts = sum(one.cuts for _, one in self.listeners)
        _measure(self.outcome, [one for _, one in self.listeners])
        return self.outcome

    async def _make_shared_chat(self, user: str) -> None:
        sent = time.perf_counter()
        chat: Json = (await self.clients[user].put("/chats/key:shared", json={})).raise_for_status().json()
        self.shared[user] = chat["chat_id"]
        self.outcome.noted([("chat.created", chat["chat_id"], 0)], sent)

    def _listener(self, number: int) -> tuple[str, Listener]:
        user = USERS[number % 5 == 0]
        chat = self.shared[user] if number % 4 == 3 or number % 8 == 2 else None
        headers = self.service.headers(user)
        if number % 2:
            return user, EventListener(self.service.base_url, headers, chat)
        return user, SocketListener(self.service.base_url, headers, chat, ticket=number % 4 == 0)

    async def _write(self, number: int, until: float, writes_a_second: float) -> None:
        user = USERS[number % 4 == 0]
        writers = Writers(self.service.base_url, self.service.headers(user), self.outcome, self.shared[user])
        await writers.write(until, lambda: random.expovariate(writes_a_second))

    async def _cut_the_rest(self, cuts: int) -> None:
        """Those cut off less often than they should be, by chance, are cut off now."""
        while rest := [one for _, one in self.listeners if one.cuts < cuts]:
            for one in rest:
                one.cut()
            await asyncio.sleep(0.2)

    async def _compare(self) -> None:
        # For what comes twice to come.
        await asyncio.sleep(0.5)
        deadline = time.monotonic() + SETTLE_SECONDS
        found: Counter[Key] = Counter()
        for user, client in self.clients.items():
            truth = await feed(client)
            found.update(key_of(change) for change in truth if change["type"] != "head.moved")
            for listener in [one for whose, one in self.listeners if whose == user]:
                expected = [
                    (change["cursor"], key_of(change)) for change in truth if listener.chat in (None, change["chat_id"])
                ]
                while len(listener.changes) < len(expected) and time.monotonic() < deadline:
                    await asyncio.sleep(0.05)
                got = [(change["cursor"], key_of(change)) for change in listener.changes]
                if got != expected:
                    self.outcome.faults.append(
                        f"{type(listener).__name__} of {user}: {len(got)} changes instead of {len(expected)}, "
                        f"{len(got) - len(set(got))} of them twice"
                    )
        lost, strange = self.outcome.expected - found, found - self.outcome.expected
        self.outcome.faults += [f"acknowledged, but not in the feed: {list(lost)[:3]}"] if lost else []
        self.outcome.faults += [f"in the feed, but not acknowledged: {list(strange)[:3]}"] if strange else []


def _measure(outcome: Outcome, listeners: list[Listener]) -> None:
    """Takes the latencies of what reached a listener that was connected when it was written."""
    for listener in listeners:
        for change, at in zip(listener.changes, listener.received_at, strict=True):
            key = key_of(change)
            # Only what happened once, and not what was waiting for one that came back.
            if outcome.expected[key] == 1 and outcome.sent[key] > listener.connected_before(at):
                outcome.after_sent.append(at - outcome.sent[key])
                outcome.after_acknowledged.append(max(0.0, at - outcome.acknowledged[key]))


def run(database: Database, workers: int, console: Console, **load: Any) -> Outcome:
    """All of it on one database, new and empty."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatkeep-listeners-")))
        url = f"sqlite:///{folder / 'listeners.db'}"
        if database is Database.POSTGRES:
            url = stack.enter_context(PostgresServer()).create_database("listeners")
        service = ServiceProcess(folder=folder, database_url=url, workers=workers, log_level="warning")
        stack.enter_context(service)
        stack.enter_context(console.status(f"{database}: writing and listening"))
        return asyncio.run(Trial(service).run(**load))


def main(
    database: Annotated[Database, typer.Option(help="Which database.")] = Database.BOTH,
    workers: Annotated[int, typer.Option(min=1, help="Processes of the service.")] = 4,
    seconds: Annotated[float, typer.Option(min=1, help="How long there is writing.")] = 60,
    writers: Annotated[int, typer.Option(min=1, help="Clients that write.")] = 16,
    listeners: Annotated[int, typer.Option(min=1, help="Clients that listen.")] = 50,
    cuts: Annotated[int, typer.Option(min=0, help="How often each listener is cut off.")] = 20,
    writes_a_second: Annotated[float, typer.Option(min=0.1, help="Of each writer, about.")] = 2,
) -> None:
    """Writes and listens, and compares. Exit code 1 on any fault."""
    console = Console()
    databases = (Database.SQLITE, Database.POSTGRES) if database is Database.BOTH else (database,)
    failed = False
    for name in databases:
        outcome = run(
            name,
            workers,
            console,
            seconds=seconds,
            writers=writers,
            listeners=listeners,
            cuts=cuts,
            writes_a_second=writes_a_second,
        )
        console.print(f"{name}: {outcome}", highlight=False)
        for fault in outcome.faults[:SHOWN_FAULTS]:
            console.print(fault, style="red", markup=False, highlight=False)
        failed |= bool(outcome.faults)
    sys.exit(failed)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        typer.run(main)
