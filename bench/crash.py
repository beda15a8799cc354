"""Kills the service while 16 clients write, and looks for what it had acknowledged: `python -m bench.crash`.

Appends of all kinds: at the head, as branches, under a condition, in progress, in batches. Each round ends with a
`kill -9` of the whole process group at a moment that nothing prepares, and a restart on the same data. In the end
`chatkeep check` counts everything again.

What clients had under way at a kill is of unknown fate: half of it is sent again with its Idempotency-Key and must be
there once, the other half is let go and must be there at most once. A batch is there whole or not at all.
"""

import asyncio
import random
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console

from bench.load import CLIENTS
from tests.servers.postgres import PostgresServer
from tests.servers.service import ServiceProcess

CHATS = 6  # fewer than clients: most chats have several writers
LARGEST_BATCH = 5
USER = "crash"
SHOWN_FAULTS = 20


@dataclass(frozen=True)
class Write:
    """A request that appends `contents`, each of which occurs nowhere else."""

    chat: str
    key: str
    contents: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """As it is sent: one message, or a batch."""
        messages = [{"role": "user", "content": content} for content in self.contents]
        return (messages[0] if len(messages) == 1 else {"messages": messages}) | self.fields


@dataclass
class Outcome:
    """What all rounds found. `ready` are the seconds that each restart took; `faults` should stay empty."""

    kills: int = 0
    acknowledged: int = 0
    cut_off: int = 0
    sent_again: int = 0
    stored: int = 0
    ready: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.acknowledged} messages acknowledged, {self.cut_off} requests cut off "
            f"({self.sent_again} sent again), {self.stored} messages stored, "
            f"slowest restart {max(self.ready, default=0):.2f} s, {len(self.faults)} faults"
        )


class Clients:
    """The clients of one service: they remember what was acknowledged, across its crashes."""

    def __init__(self, service: ServiceProcess, outcome: Outcome) -> None:
        self._service = service
        self._outcome = outcome
        self._chats = [f"crash:{number}" for number in range(CHATS)]
        self._acknowledged: dict[str, dict[str, Any]] = {}  # by content
        self._unknown: list[Write] = []

    def connect(self) -> httpx2.AsyncClient:
        """A client of the service as it runs now."""
        return httpx2.AsyncClient(
            base_url=self._service.base_url, headers=self._service.headers(USER), timeout=30, trust_env=False
        )

    async def write_until_killed(self, seconds: float) -> None:
        """All clients write, and `seconds` after the first of them began the service is killed under them."""
        async with self.connect() as client, asyncio.TaskGroup() as writers:
            for _ in range(CLIENTS):
                writers.create_task(self._write(client))
            await asyncio.sleep(seconds)
            self._service.kill()
            self._outcome.kills += 1

    async def _write(self, client: httpx2.AsyncClient) -> None:
        """One client: writes until its connection breaks, or an answer is wrong."""
        faults = len(self._outcome.faults)
        while len(self._outcome.faults) == faults:
            size = random.choice((1, 1, 1, random.randint(2, LARGEST_BATCH)))
            contents = tuple(f"{secrets.token_hex(8)} « {'x' * random.randint(0, 300)} »" for _ in range(size))
            write = self._write_of(random.choice(self._chats), contents)
            try:
                await self._send(client, write)
            except httpx2.TransportError:
                self._outcome.cut_off += 1
                self._unknown.append(write)
                return

    def _write_of(self, chat: str, contents: tuple[str, ...]) -> Write:
        """An append of any kind: at the head, as a branch, under a condition, or one in progress."""
        known = [message for message in self._acknowledged.values() if message["chat"] == chat]
        kind = random.choice(("plain", "plain", "branch", "if_match", "in_progress")) if known else "plain"
        fields: dict[str, Any] = {}
        if kind == "branch":
            fields["parent"] = random.choice(known)["message_id"]
        elif kind == "in_progress" and len(contents) == 1:
            fields["status"] = "in_progress"
        headers = {"If-Match": "*"} if kind == "if_match" else {}
        return Write(chat, secrets.token_hex(16), contents, fields, headers)

    async def _send(self, client: httpx2.AsyncClient, write: Write) -> None:
        answer = await client.post(
            f"/chats/key:{write.chat}/messages",
            json=write.body,
            headers={"Idempotency-Key": write.key, **write.headers},
        )
        if answer.status_code != 201:
            self._outcome.faults.append(f"a write was answered {answer.status_code} {answer.text[:200]}")
            return
        body = answer.json()
        for message in body["messages"] if len(write.contents) > 1 else [body]:
            self._acknowledged[message["content"]] = _lasting(message) | {"chat": write.chat}
            self._outcome.acknowledged += 1

    async def recover(self) -> None:
        """Sends half of what was cut off again, as a client that never gives up does."""
        async with self.connect() as client:
            for write in self._unknown[::2]:
                self._outcome.sent_again += 1
                await self._send(client, write)
        self._unknown = self._unknown[1::2]

    async def check(self) -> None:
        """Reads everything and notes what is missing, changed, twice, or out of order."""
        async with self.connect() as client:
            chats = await asyncio.gather(*(self._history(client, chat) for chat in self._chats))
        found: dict[str, dict[str, Any]] = {}
        faults = self._outcome.faults
        for name, messages in zip(self._chats, chats, strict=True):
            if [message["seq"] for message in messages] != list(range(1, len(messages) + 1)):
                faults.append(f"{name}: seqs are not 1…{len(messages)}")
            twice = [content for content, times in Counter(m["content"] for m in messages).items() if times > 1]
            faults += [f"{name}: there twice: {content}" for content in twice]
            found |= {message["content"]: message for message in messages}
        for content, message in self._acknowledged.items():
            stored = found.get(content)
            if stored is None or _lasting(stored) | {"chat": message["chat"]} != message:
                faults.append(f"acknowledged was {message}, stored is {stored}")
        for write in self._unknown:
            seqs = [found[content]["seq"] for content in write.contents if content in found]
            if seqs and seqs != list(range(seqs[0], seqs[0] + len(write.contents))):
                faults.append(f"a batch was torn: {write}")
        if strange := found.keys() - self._acknowledged.keys() - {c for write in self._unknown for c in write.contents}:
            faults.append(f"{len(strange)} messages that nobody sent: {sorted(strange)[:3]}")
        self._outcome.stored = len(found)

    async def _history(self, client: httpx2.AsyncClient, chat: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        params: dict[str, Any] = {"limit": 200, "tree": "true"}
        while True:
            answer = await client.get(f"/chats/key:{chat}/messages", params=params)
            if answer.status_code == 404:
                return []
            page = answer.raise_for_status().json()
            messages += page["items"]
            if not page["next_cursor"]:
                return messages
            params["cursor"] = page["next_cursor"]


def _lasting(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what others change: its siblings, and its status once its writer is silent."""
    return {name: value for name, value in message.items() if name not in ("siblings", "status")}


def crash(
    service: ServiceProcess, rounds: int, *, ready_within: float = 5.0, say: Callable[[Outcome], None] = lambda _: None
) -> Outcome:
    """Kills a service that is not yet started `rounds` times while 16 clients write, and checks after each.

    It is left running. The outcome's `faults` say what was lost, changed, torn, out of order or slow to come back.
    """
    outcome = Outcome()
    clients = Clients(service, outcome)

    async def one_round() -> None:
        await clients.write_until_killed(random.uniform(0.3, 1.5))
        outcome.ready.append(service.start())
        if outcome.ready[-1] > ready_within:
            outcome.faults.append(f"ready only after {outcome.ready[-1]:.1f} s")
        await clients.recover()
        await clients.check()

    service.start()
    for _ in range(rounds):
        asyncio.run(one_round())
        say(outcome)
    if (found := service.command("check")).returncode:
        outcome.faults.append(f"`chatkeep check` found: {found.stdout.strip()}")
    return outcome


class Database(StrEnum):
    """What to run on."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"
    BOTH = "both"


def run(database: Database, rounds: int, workers: int, console: Console) -> Outcome:
    """All rounds on one database, new and empty, with a line that says how far it is."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatkeep-crash-")))
        url = f"sqlite:///{folder / 'crash.db'}"
        if database is Database.POSTGRES:
            url = stack.enter_context(PostgresServer()).create_database("crash")
        service = ServiceProcess(folder=folder, database_url=url, workers=workers, log_level="warning")
        stack.callback(service.kill)
        status = stack.enter_context(console.status(f"{database}: starting"))
        return crash(service, rounds, say=lambda outcome: status.update(f"{database}: {outcome}"))


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How many times to kill it, on each database.")] = 20,
    database: Annotated[Database, typer.Option(help="Which database.")] = Database.BOTH,
    workers: Annotated[int, typer.Option(min=1, help="Processes of the service.")] = 1,
) -> None:
    """Kills the service with -9 while 16 clients write, restarts it, and checks. Exit code 1 on any fault."""
    console = Console()
    databases = (Database.SQLITE, Database.POSTGRES) if database is Database.BOTH else (database,)
    failed = False
    for name in databases:
        outcome = run(name, rounds, workers, console)
        console.print(f"{name}: {outcome}", highlight=False)
        for fault in outcome.faults[:SHOWN_FAULTS]:
            console.print(fault, style="red", markup=False, highlight=False)
        failed |= bool(outcome.faults)
    sys.exit(failed)


if __name__ == "__main__":
    typer.run(main)
